#pragma once
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "data/shards/shards.h"
#include "dist/ranks.h"
#include "eval/report.h"
#include "model/divided_experts.h"

namespace mythos {

// What `mythos eval` measures of a checkpoint.
struct EvalOptions {
  std::string data;  // a directory of shards
  ShardDirectory::Split split = ShardDirectory::Split::val;
  std::vector<int64_t> loops;  // empty: powers of two up to model.max_loop_iters, and that
  int64_t max_tokens = 0;      // targets; 0: the whole split
  int64_t seq_len = 0;         // tokens of a window; 0: as in training
  int64_t stride = 0;          // a second row for windows that begin so many tokens apart; 0: none
  // How documents become windows, and whether they see each other; nothing: as in training.
  std::optional<Packing> packing;
  int64_t batch_size = 0;  // windows; 0: chosen by evaluate() or evaluate_decode()
  ComputeType compute_type = ComputeType::automatic;
  std::optional<DecodeConfig> decode;  // computed as text is generated; has its own compute type
  bool baseline = false;               // the train split's unigram distribution as well
  bool untrained = false;              // the same configuration with fresh weights as well
  Ranks* ranks = nullptr;  // that run the windows' batches by turns; not with `decode`; null: one
  // Ranks that divide the model's experts instead, which all call this; rank 0 gets the rows. Not
  // with `untrained`, whose weights are whole. Null: the model has all of them.
  DividedExperts* experts = nullptr;
};

// Measures each loop count, with a line of progress for each. Warns where documents stand otherwise
// than in training, and once of loops at which the model was not trained. Fails (data) when the
// checkpoint carries no tokenizer or not that of the shards, and (usage) when a window does not
// fit.
EvalReport evaluate_checkpoint(const LoadedCheckpoint& loaded, at::Device device,
                               const EvalOptions& options);

}  // namespace mythos
