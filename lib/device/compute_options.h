#pragma once
#include <ATen/core/Tensor.h>

#include "config/compute_flags.h"

namespace mythos {

// ComputeFlags that can be put into effect.
struct ComputeOptions : ComputeFlags {
  void set_threads() const;
  // Sets the number of threads and resolves the device. Fails as resolve_device does.
  at::Device select() const;
};

}  // namespace mythos
