#pragma once
#include <string>
#include <vector>

#include "config/config.h"

namespace mythos {

// Sets train.steps to what train.length comes to, if that is given:
//   tokens   places for tokens, tokens_per_step of each step
//   epochs   as many tokens as the training splits of all data hold together; a mixture whose
//            weights are not in proportion to them passes over some more often than over others
//   FLOPs    those of training on a token (training_flops_per_token())
// Among `assignments` (those of the command line), train.steps replaces the train.length of a file
// or checkpoint. Fails (usage) if the length is malformed or comes to no step or more than 2^50, if
// the assignments set both keys, or if the warm-up of a run of that length is longer than the run.
// Where the data's tokens are not known a length in epochs changes nothing.
constexpr double kUnknownTokens = -1;
void settle_length(Config& config, const std::vector<std::string>& assignments,
                   double tokens_per_epoch);

// The FLOPs of forward and backward pass for a token at the mean number of loops
// (training_flops()), in sequences of train.seq_len tokens.
double training_flops_per_token(const Config& config);

}  // namespace mythos
