#pragma once
#include <cstdint>
#include <vector>

#include "config/model_config.h"
#include "data/shards/shards.h"
#include "model/weights.h"

namespace mythos {

// A probe is the text on which a model is measured: at most `max_tokens` token ids in batches [B,S]
// int64 on `device`, cut into sequences no longer than the context and no longer than 256.

// A probe of uniformly random ids, drawn with `seed`.
std::vector<Tensor> random_probe(const ModelConfig& config, int64_t max_tokens, uint64_t seed,
                                 at::Device device);
// A probe of the first tokens of the validation split, or of the training split if that is empty.
// Fails (data) if there are no tokens, or if the shards' vocabulary is larger than the model's.
std::vector<Tensor> data_probe(const ModelConfig& config, const ShardDirectory& data,
                               int64_t max_tokens, at::Device device);

}  // namespace mythos
