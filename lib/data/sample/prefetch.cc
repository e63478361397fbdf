#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/clock.h"
#include "data/sample/sampler.h"

namespace mythos {

struct Prefetcher::State {
  State(Sampler sampler, size_t depth)
      : sampler(std::move(sampler)),
        depth(std::max<size_t>(1, depth)),
        cursor(this->sampler.cursor()),
        epoch(this->sampler.epoch()) {}

  void run();

  // A batch and the sampler's cursor after it.
  struct Item {
    Batch batch;
    nlohmann::json cursor;
    double epoch = 0;
  };

  Sampler sampler;  // used by the thread alone
  const size_t depth;
  std::mutex mutex;  // guards the members that follow
  std::condition_variable filled, emptied;
  std::deque<Item> items;
  std::exception_ptr error;  // thrown after the last item
  bool stop = false;

  // The cursor after the batch that next() gave last; used by the caller alone.
  nlohmann::json cursor;
  double epoch = 0, waited_seconds = 0;
  std::thread thread;
};

void Prefetcher::State::run() {
  try {
    while (true) {
      {
        std::unique_lock lock(mutex);
        emptied.wait(lock, [&] { return stop || items.size() < depth; });
        if (stop) return;
      }
      Item item{.batch = sampler.next(), .cursor = sampler.cursor(), .epoch = sampler.epoch()};
      {
        const std::lock_guard lock(mutex);
        items.push_back(std::move(item));
      }
      filled.notify_one();
    }
  } catch (...) {
    const std::lock_guard lock(mutex);
    error = std::current_exception();
  }
  filled.notify_one();
}

Prefetcher::Prefetcher(Sampler sampler, size_t depth)
    : state_(std::make_unique<State>(std::move(sampler), depth)) {
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->emptied.notify_one();
  state_->thread.join();
}

Batch Prefetcher::next() {
  State& s = *state_;
  State::Item item;
  {
    std::unique_lock lock(s.mutex);
    if (s.items.empty() && !s.error) {
      const auto start = Clock::now();
      s.filled.wait(lock, [&] { return !s.items.empty() || s.error; });
      s.waited_seconds += seconds_since(start);
    }
    if (s.items.empty()) std::rethrow_exception(s.error);
    item = std::move(s.items.front());
    s.items.pop_front();
  }
  s.emptied.notify_one();
  s.cursor = std::move(item.cursor);
  s.epoch = item.epoch;
  return std::move(item.batch);
}

nlohmann::json Prefetcher::cursor() const {
  return state_->cursor;
}
double Prefetcher::epoch() const {
  return state_->epoch;
}
double Prefetcher::waited_seconds() const {
  return state_->waited_seconds;
}

}  // namespace mythos
