#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "base/timing.h"

namespace mythos {

// Runs `repetition` `repeat` times and returns a measurement for each operator that LibTorch's
// dispatcher or autograd saw on this thread and, for its backward passes, on that of the device,
// most expensive first: `seconds` holds for each repetition the operator's own time, without that
// of the operators that it called; values are "calls" of one repetition and "time_share". The last
// is "(between operators)": everything that no operator accounts for. On a CUDA device every
// operator is waited for. A process profiles one thing at a time.
std::vector<Measurement> profile_operators(at::Device device, int repeat,
                                           const std::function<void()>& repetition);

}  // namespace mythos
