#pragma once
#include <ATen/core/Tensor.h>

#include "base/timing.h"

namespace mythos {

// What the device does at best with the threads that are set: one large square matrix product in a
// type, and one large copy of memory. The measure that a model's speed is held against.
class Peaks {
 public:
  Peaks(at::Device device, at::ScalarType dtype);

  // Times each `repeat` more times. Called between other measurements, so that the samples spread
  // over the run.
  void sample(int repeat);

  // A product [N,N]·[N,N], 2·N³ operations, by each library at hand ("flops"), and a copy ("bytes",
  // those read and those written).
  std::vector<Measurement> measurements() const;
  // The rate of the fastest sample, whichever library it is by.
  double flops_per_second() const;
  double bytes_per_second() const;

 private:
  at::Device device_;
  at::ScalarType dtype_;
  std::vector<Measurement> gemms_;
  Measurement copy_;
};

// Waits until a CUDA device has done what it was given; nothing on a CPU.
void synchronize(at::Device device);

}  // namespace mythos
