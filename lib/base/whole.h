#pragma once
#include <cstdint>

#include "base/error.h"

namespace mythos {

// A whole number of 63 bits whose sums and products fail (usage) where they would wrap around. It
// is for sizes computed from options and configurations, where each option is within its range and
// their product may not be.
class Whole {
 public:
  Whole(int64_t value = 0) : value_(value) {}
  int64_t value() const { return value_; }

  Whole& operator+=(Whole other) {
    if (__builtin_add_overflow(value_, other.value_, &value_)) too_large();
    return *this;
  }
  Whole& operator-=(Whole other) {
    if (__builtin_sub_overflow(value_, other.value_, &value_)) too_large();
    return *this;
  }
  Whole& operator*=(Whole other) {
    if (__builtin_mul_overflow(value_, other.value_, &value_)) too_large();
    return *this;
  }
  friend Whole operator+(Whole a, Whole b) { return a += b; }
  friend Whole operator-(Whole a, Whole b) { return a -= b; }
  friend Whole operator*(Whole a, Whole b) { return a *= b; }
  friend auto operator<=>(const Whole&, const Whole&) = default;

 private:
  [[noreturn]] static void too_large() {
    fail(ErrorKind::usage,
         "a size of this configuration is 2^63 or more, too large to compute with.",
         "Make the model, the loops, the batch or the sequence smaller");
  }

  int64_t value_;
};

}  // namespace mythos
