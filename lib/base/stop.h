#pragma once
#include <atomic>

namespace mythos {

// Thrown by work that ends early because its StopToken says so. It is no Error, as nothing went
// wrong. What becomes of unfinished results is said where the work is declared.
struct Stopped {};

// Tells work that it shall end early. Work takes a token by value, hands it to what it calls and
// asks it between two pieces. A token that no source gave never says so.
class StopToken {
 public:
  StopToken() = default;
  bool stop_requested() const { return requested_ && requested_->load(std::memory_order_relaxed); }
  void throw_if_stopped() const {
    if (stop_requested()) throw Stopped{};
  }

 private:
  friend class StopSource;
  explicit StopToken(const std::atomic<bool>* requested) : requested_(requested) {}

  const std::atomic<bool>* requested_ = nullptr;
};

// Belongs to whoever may end the work, and must outlive its tokens. Unlike std::stop_source it may
// be used in a signal handler.
class StopSource {
 public:
  StopSource() = default;
  StopSource(const StopSource&) = delete;
  StopSource& operator=(const StopSource&) = delete;

  StopToken token() const { return StopToken(&requested_); }
  void request_stop() { requested_.store(true, std::memory_order_relaxed); }
  // Makes the source and its tokens as new, for the next piece of work.
  void reset() { requested_.store(false, std::memory_order_relaxed); }

 private:
  static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler writes it");
  std::atomic<bool> requested_ = false;
};

// Waits until a file descriptor has something to read or has come to its end. False once a stop is
// requested, also when that happens while nothing arrives.
bool wait_for_input(int descriptor, StopToken stop);

}  // namespace mythos
