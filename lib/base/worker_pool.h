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
  // Waits for the tasks that run and drops those that have not begun.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  size_t threads() const { return threads_.size(); }
  // Queues a task, which must not throw nor wait for another task. Urgent tasks run before the
  // others; each kind runs in the order of submission.
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
