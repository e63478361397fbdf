#pragma once
#include <cmath>
#include <cstdint>

namespace mythos {

// Counter-based random numbers: a number depends on (seed, stream, counter) alone, so a run resumes
// exactly from three integers. The mixer is the finaliser of SplitMix64 (Steele, Lea and Flood,
// "Fast splittable pseudorandom number generators", 2014) applied twice.
class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t stream = 0, uint64_t counter = 0)
      : key_(mix(seed ^ mix(stream + 0x9e3779b97f4a7c15ULL))), counter_(counter) {}

  uint64_t next() { return mix(key_ + mix(key_ ^ (counter_++ * 0x9e3779b97f4a7c15ULL))); }
  // Uniform in [0, 1), of 53 bits.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  // Uniform in [0, n) without bias; n > 0.
  uint64_t below(uint64_t n) {
    const uint64_t limit = ~0ULL - ~0ULL % n;
    uint64_t value = next();
    while (value >= limit) value = next();
    return value % n;
  }
  // Poisson-distributed with the given mean (> 0): Knuth's product method over pieces of the mean
  // of at most 16 each, exact because a sum of Poisson variables is Poisson.
  int64_t poisson(double mean) {
    int64_t total = 0;
    while (mean > 0) {
      const double piece = mean > 16 ? 16 : mean;
      mean -= piece;
      const double floor = std::exp(-piece);
      for (double product = uniform(); product > floor; product *= uniform()) ++total;
    }
    return total;
  }
  uint64_t counter() const { return counter_; }

 private:
  static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
  }

  uint64_t key_, counter_;
};

}  // namespace mythos
