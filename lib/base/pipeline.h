#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "base/worker_pool.h"

namespace mythos {

// Three steps that run at the same time over a series of items and keep its order.
template <class Item>
struct Pipeline {
  // Fills an empty item, on a thread of its own. Returns false at the end of the series; that item
  // is not used.
  std::function<bool(Item&)> produce;
  // Processes an item on the pool, several items at a time.
  std::function<void(Item&)> work;
  // Takes the items in the order of production, on the calling thread. Returns false to end the
  // series.
  std::function<bool(Item&)> consume;
  // The items that are produced and not yet consumed weigh at most `max_weight` together; a heavier
  // item goes through alone. One further item may be produced already and wait.
  std::function<size_t(const Item&)> weight;
  size_t max_weight = 1;
};

namespace internal {

template <class Item>
class PipelineRun {
 public:
  PipelineRun(const Pipeline<Item>& steps, WorkerPool& pool) : steps_(steps), pool_(pool) {}

  ~PipelineRun() {
    cancel();
    if (producer_.joinable()) producer_.join();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return submitted_ == 0; });
  }

  void run() {
    producer_ = std::thread([this] { produce(); });
    while (const std::unique_ptr<Slot> slot = next_done()) {
      if (slot->error) std::rethrow_exception(slot->error);
      if (!steps_.consume(slot->item)) return;
      const std::lock_guard lock(mutex_);
      weight_ -= slot->weight;
      room_.notify_one();
    }
  }

 private:
  struct Slot {
    Item item;
    size_t weight = 0;
    bool done = false;
    std::exception_ptr error;  // from work(), thrown when the item's turn to be consumed comes
  };

  void produce() {
    std::exception_ptr error;
    try {
      while (produce_one()) {
      }
    } catch (...) {
      error = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    ended_ = true;
    produce_error_ = error;
    changed_.notify_one();
  }

  // Returns false when there is nothing more to produce.
  bool produce_one() {
    auto slot = std::make_unique<Slot>();
    if (!steps_.produce(slot->item)) return false;
    slot->weight = steps_.weight(slot->item);
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] {
      return cancelled_ || weight_ == 0 || weight_ + slot->weight <= steps_.max_weight;
    });
    if (cancelled_) return false;
    Slot* const produced = slot.get();
    series_.push_back(std::move(slot));
    try {
      pool_.submit([this, produced] { work(*produced); });
    } catch (...) {
      series_.pop_back();
      throw;
    }
    weight_ += produced->weight;
    ++submitted_;
    return true;
  }

  void work(Slot& slot) {
    try {
      if (!cancelled()) steps_.work(slot.item);
    } catch (...) {
      slot.error = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    slot.done = true;
    --submitted_;
    changed_.notify_one();
  }

  // Waits for the next item in order; null at the end of the series.
  std::unique_ptr<Slot> next_done() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return series_.empty() ? ended_ : series_.front()->done; });
    if (series_.empty()) {
      if (produce_error_) std::rethrow_exception(produce_error_);
      return nullptr;
    }
    std::unique_ptr<Slot> slot = std::move(series_.front());
    series_.pop_front();
    return slot;
  }

  void cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    room_.notify_one();
  }

  bool cancelled() {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }

  const Pipeline<Item>& steps_;
  WorkerPool& pool_;
  std::mutex mutex_;
  std::condition_variable room_, changed_;
  std::deque<std::unique_ptr<Slot>> series_;  // produced and not consumed, in order
  size_t submitted_ = 0;                      // of series_, not yet worked on to the end
  size_t weight_ = 0;                         // of series_ and the item being consumed
  bool ended_ = false, cancelled_ = false;
  std::exception_ptr produce_error_;  // thrown after the last item of series_
  std::thread producer_;
};

}  // namespace internal

// Runs the steps to the end. The first exception in the order of the items ends the run, after all
// items before it have been consumed, and is thrown to the caller; nothing runs on afterwards.
template <class Item>
void run_pipeline(const Pipeline<Item>& steps, WorkerPool& pool) {
  internal::PipelineRun<Item>(steps, pool).run();
}

}  // namespace mythos
