#pragma once
#include <vector>

#include "data/sample/sampler.h"
#include "eval/likelihood.h"

namespace mythos {

// How well a model predicts the validation splits of the sources on which it is trained.
struct Validation {
  struct Source {
    fs::path directory;
    double loss = 0, bits_per_byte = 0;
  };
  // The means over the sources, weighted by their shares; the loss is in nats per token.
  double loss = 0, bits_per_byte = 0;
  int64_t loops = 0;
  std::vector<Source> sources;  // only those that have a validation split
};

bool has_validation_split(const ShardDirectory& data);

// Validates a model; documents stand as options says. options.max_tokens (0: all) are shared out to
// the sources by weight, at least one sequence for each. At least one source must have a validation
// split.
Validation validate(const ModelConfig& config, const Weights& weights,
                    const std::vector<DataSource>& sources,
                    const std::vector<int32_t>& byte_lengths, const LikelihoodOptions& options);

}  // namespace mythos
