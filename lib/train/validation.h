#pragma once
#include <vector>

#include "data/sample/sampler.h"
#include "eval/likelihood.h"

namespace mythos {

// How well a model predicts the validation splits of the sources that it is trained on.
struct Validation {
  struct Source {
    fs::path directory;
    double loss = 0, bits_per_byte = 0;
  };
  // Means over the sources, each counting by its weight; in nats per token.
  double loss = 0, bits_per_byte = 0;
  int64_t loops = 0;
  std::vector<Source> sources;  // those that have a validation split
};

bool has_validation_split(const ShardDirectory& data);

// options.max_tokens (0: all) are shared out by weight, at least one sequence each. At least one
// source must have a validation split.
Validation validate(const ModelConfig& config, const Weights& weights,
                    const std::vector<DataSource>& sources,
                    const std::vector<int32_t>& byte_lengths, const LikelihoodOptions& options);

}  // namespace mythos
