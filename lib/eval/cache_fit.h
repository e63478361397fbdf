#pragma once
#include <string>
#include <vector>

#include "base/memory.h"
#include "checkpoint/checkpoint.h"
#include "data/shards/shards.h"
#include "model/cross_loop.h"

namespace mythos {

// What `mythos fit-cache` fits a basis of CacheSharing::low_rank to.
struct CacheFitOptions {
  std::string data;  // a directory of shards
  ShardDirectory::Split split = ShardDirectory::Split::train;
  int64_t rank = 0;            // 1 to the full one: loops times the width of a key
  int64_t loops = 0;           // 0: model.max_loop_iters
  int64_t max_tokens = 65536;  // of the split's first windows; the last one may be cut off
  int64_t seq_len = 0;         // tokens of a window; 0: as in training
  int64_t batch_size = 0;      // windows of a pass; 0: 8192 tokens' worth
};

struct CacheFit {
  CrossLoopFit::Result result;  // the basis has its probe
  int64_t tokens = 0;           // that it was fitted to
  int64_t full_rank = 0;
  // Numbers of a token in the slots of the core, with the basis and with keys of each loop.
  int64_t numbers = 0, all_numbers = 0;
};

// Runs the model over the text and fits. Fails (usage) on a rank or window that does not fit,
// (data) where the checkpoint has no tokenizer or not that of the shards, or the split no tokens,
// and (resources), before anything is run, where fitting on a CPU takes more than is available.
CacheFit fit_cache(const LoadedCheckpoint& loaded, at::Device device,
                   const CacheFitOptions& options,
                   double available_bytes = available_memory_bytes());

}  // namespace mythos
