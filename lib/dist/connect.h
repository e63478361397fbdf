#pragma once
#include <c10/core/Device.h>

#include <memory>

#include "dist/rank_place.h"
#include "dist/ranks.h"

namespace mythos {

constexpr double kRankTimeoutSeconds = 600;

// The ranks of a job, this process among them at `place`, by c10d: Gloo for tensors on CPUs, NCCL
// for those on a CUDA device. Waits until all have come; a place of size 1 is single_rank(). No
// rank waits longer than the time-out for another. Fails as JobStore does, and (usage) where this
// build has no Gloo, or no NCCL for a CUDA device. Ignores SIGPIPE from then on
// (outlive_readers()).
std::unique_ptr<Ranks> connect(const RankPlace& place, at::Device device,
                               double timeout_seconds = kRankTimeoutSeconds);

}  // namespace mythos
