#pragma once
#include <ATen/core/Tensor.h>

#include "base/timing.h"

namespace mythos {

// The best speed of the device with the threads that are set, against which a model's speed is
// measured: that of a large square matrix product in a type, and of a large copy of memory.
class Peaks {
 public:
  Peaks(at::Device device, at::ScalarType dtype);

  // Times the product and the copy `repeat` more times. Called between other measurements, so that
  // the samples spread over the run.
  void sample(int repeat);

  // The measurements: a product [N,N]·[N,N], 2·N³ operations, by each library at hand ("flops"),
  // and a copy ("bytes", counting those read and those written).
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

// Waits until a CUDA device has done all its work; does nothing on a CPU.
void synchronize(at::Device device);

}  // namespace mythos
