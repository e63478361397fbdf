#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace mythos {

// Three steps that run at the same time over a series of items and keep its order.
template <class Item>
struct Pipeline {
  // Fills an empty item, on a thread of its own; false at the end, and the item is not used.
  std::function<bool(Item&)> produce;
  // On `workers` threads, several items at a time.
  std::function<void(Item&)> work;
  // On the calling thread, in the order of production; false ends the series here.
  std::function<bool(Item&)> consume;
  size_t workers = 1;
  // Items that were produced and not yet consumed weigh no more than this together; an item that
  // weighs more goes alone. A further one may wait, already produced.
  std::function<size_t(const Item&)> weight;
  size_t max_weight = 1;
};

namespace internal {

template <class Item>
class PipelineRun {
 public:
  explicit PipelineRun(const Pipeline<Item>& steps) : steps_(steps) {}

  void run() {
    std::vector<std::jthread> threads;
    // Declared after the threads: an exception lets them end before it waits for them.
    const std::unique_ptr<PipelineRun, void (*)(PipelineRun*)> guard(
        this, [](PipelineRun* self) { self->cancel(); });
    threads.emplace_back([this] { produce(); });
    for (size_t i = 0; i < steps_.workers; ++i) threads.emplace_back([this] { work(); });
    while (const std::unique_ptr<Slot> slot = next_done()) {
      if (slot->error) std::rethrow_exception(slot->error);
      if (!steps_.consume(slot->item)) return;
      release(slot->weight);
    }
  }

 private:
  struct Slot {
    Item item;
    size_t weight = 0;
    bool done = false;
    std::exception_ptr error;  // thrown when the item's turn to be consumed comes
  };

  void produce() {
    for (bool more = true; more;) {
      auto slot = std::make_unique<Slot>();
      try {
        more = steps_.produce(slot->item);
        if (more) slot->weight = steps_.weight(slot->item);
      } catch (...) {
        slot->error = std::current_exception();
        slot->done = true;
        more = false;
      }
      const bool used = more || slot->error;
      std::unique_lock lock(mutex_);
      room_.wait(lock, [&] {
        return cancelled_ || weight_ == 0 || weight_ + slot->weight <= steps_.max_weight;
      });
      if (used) {
        weight_ += slot->weight;
        if (!slot->done) waiting_.push_back(slot.get());
        series_.push_back(std::move(slot));
      }
      if (cancelled_) more = false;
      ended_ = !more;
      if (ended_) {
        to_do_.notify_all();
      } else {
        to_do_.notify_one();
      }
      done_.notify_one();
    }
  }

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      to_do_.wait(lock, [&] { return cancelled_ || ended_ || !waiting_.empty(); });
      if (cancelled_ || waiting_.empty()) return;
      Slot* slot = waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      try {
        steps_.work(slot->item);
      } catch (...) {
        slot->error = std::current_exception();
      }
      lock.lock();
      slot->done = true;
      if (series_.front().get() == slot) done_.notify_one();
    }
  }

  // Nothing at the end.
  std::unique_ptr<Slot> next_done() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return series_.empty() ? ended_ : series_.front()->done; });
    if (series_.empty()) return nullptr;
    std::unique_ptr<Slot> slot = std::move(series_.front());
    series_.pop_front();
    return slot;
  }

  void release(size_t weight) {
    const std::lock_guard lock(mutex_);
    weight_ -= weight;
    room_.notify_one();
  }

  void cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    room_.notify_all();
    to_do_.notify_all();
  }

  const Pipeline<Item>& steps_;
  std::mutex mutex_;
  std::condition_variable room_, to_do_, done_;
  std::deque<std::unique_ptr<Slot>> series_;  // produced and not consumed, in order
  std::deque<Slot*> waiting_;                 // those of them that no worker has taken
  size_t weight_ = 0;                         // of series_ and the item being consumed
  bool ended_ = false, cancelled_ = false;
};

}  // namespace internal

// Runs the steps to the end. The first exception in the order of the items ends the run, after all
// items before it have been consumed, and is thrown to the caller; no thread is left behind.
template <class Item>
void run_pipeline(const Pipeline<Item>& steps) {
  internal::PipelineRun<Item>(steps).run();
}

}  // namespace mythos
