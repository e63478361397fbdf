#pragma once
#include <cstdint>
#include <vector>

#include "config/model_config.h"
#include "data/shards/shards.h"
#include "model/weights.h"

namespace mythos {

// Token ids to watch a model on, in batches [B,S] int64 on `device`: at most `max_tokens`, cut into
// sequences no longer than the context and no longer than 256.

// Uniformly random ids of the seed.
std::vector<Tensor> random_probe(const ModelConfig& config, int64_t max_tokens, uint64_t seed,
                                 at::Device device);
// The first tokens of the validation split (of the training split where that is empty). Fails
// (data) when there are none, or the shards' vocabulary is larger than the model's.
std::vector<Tensor> data_probe(const ModelConfig& config, const ShardDirectory& data,
                               int64_t max_tokens, at::Device device);

}  // namespace mythos
