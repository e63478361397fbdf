#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace mythos {

// Threads that run small tasks.
class WorkerPool {
 public:
  // Fails with std::system_error where a thread cannot start.
  explicit WorkerPool(size_t threads);
  // Ends after the tasks that run; those that wait are dropped.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  size_t threads() const { return threads_.size(); }
  // A task must not throw, nor wait for another. Those that are `urgent` run before the others;
  // within a kind the order is that of submission.
  void submit(std::function<void()> task, bool urgent = false);

 private:
  void work();
  void stop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> urgent_, others_;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace mythos
