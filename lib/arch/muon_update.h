#pragma once
#include <cstdint>

#include "config/config.h"

namespace mythos {

// Muon computes matrices of one shape in stacks of up to this many numbers (train/muon.h); one
// larger matrix is a stack of its own.
constexpr int64_t kMuonStackNumbers = 1 << 22;

// What Muon's update of one of `ranks` ranks holds at its peak in fp32, beside weights, gradients
// and momentum, when the activations have gone: of its largest stack two copies, and two products
// of the matrices with themselves. 0 with train.optimizer = "adamw". Where ranks share the
// optimizer's state (train.layout), the rank counts that has most.
int64_t muon_update_bytes(const Config& config, int64_t ranks);

}  // namespace mythos
