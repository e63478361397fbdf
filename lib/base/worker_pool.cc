#include "base/worker_pool.h"

#include <utility>

namespace mythos {

WorkerPool::WorkerPool(size_t threads) {
  try {
    for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  } catch (...) {
    stop();
    throw;
  }
}

WorkerPool::~WorkerPool() {
  stop();
}

void WorkerPool::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
}

void WorkerPool::submit(std::function<void()> task, bool urgent) {
  {
    const std::lock_guard lock(mutex_);
    (urgent ? urgent_ : others_).push_back(std::move(task));
  }
  wake_.notify_one();
}

void WorkerPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || !urgent_.empty() || !others_.empty(); });
    if (stopping_) return;
    auto& tasks = urgent_.empty() ? others_ : urgent_;
    const std::function<void()> task = std::move(tasks.front());
    tasks.pop_front();
    lock.unlock();
    task();
    lock.lock();
  }
}

}  // namespace mythos
