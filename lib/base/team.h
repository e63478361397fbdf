#pragma once
#include <omp.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>

namespace mythos {

// Threads that go through one piece of code side by side and meet at barriers: what a decode step
// of a hundred short phases needs, where a parallel region for each would cost more than the work.
class Team {
 public:
  // One thread's view.
  class Member {
   public:
    Member(Team& team, int index, int count) : team_(team), index_(index), count_(count) {}
    int index() const { return index_; }
    int count() const { return count_; }
    // Returns once all threads have come here; what each wrote before is then seen by all.
    void barrier() const {
      if (count_ > 1) team_.wait(count_);
    }
    // This thread's share of 0 … size-1, in steps of whole `grain`s.
    std::pair<int64_t, int64_t> share(int64_t size, int64_t grain = 1) const {
      const int64_t pieces = (size + grain - 1) / grain;
      const auto cut = [&](int64_t i) {
        const int64_t at = pieces * i / count_ * grain;
        return at < size ? at : size;
      };
      return {cut(index_), cut(index_ + 1)};
    }

   private:
    Team& team_;
    int index_, count_;
  };

  // f(member) on `threads` threads. f must not throw.
  template <class F>
  void run(int threads, const F& f) {
    if (threads <= 1) {
      f(Member(*this, 0, 1));
      return;
    }
#pragma omp parallel num_threads(threads)
    f(Member(*this, omp_get_thread_num(), omp_get_num_threads()));
  }

 private:
  void wait(int count) {
    const uint64_t round = round_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    // Phases are microseconds apart; a core that is not ours alone is given up after some.
    for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
      if (spins < kSpins)
        __builtin_ia32_pause();
      else
        std::this_thread::yield();
    }
  }

  static constexpr int kSpins = 2000;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint64_t> round_{0};
};

}  // namespace mythos
