#pragma once
#include <vector>

#include "data/shards/shards.h"

namespace mythos {

// All throw Stopped (stored_documents.h) on a stop signal, fail as ShardWriter does when the target
// exists, and make shards of the default sizes: the result depends on the documents alone, not on
// the files that they came in.

// The documents of all inputs, one input after the other, each split into its own; sources are
// recorded when all inputs do. Fails (data), showing both fingerprints or both settings, unless all
// have one tokenizer and agree on BOS and EOS.
ShardManifest merge_shards(const std::vector<ShardDirectory>& inputs, const Tokenizer& tokenizer,
                           const fs::path& out, bool replace);

// "PREFIX-00003"
fs::path part_name(const fs::path& prefix, size_t part);

// Writes parts 0 … n-1 under these names: each has a run of the documents of both splits, whole,
// with nearly 1/parts of each split's tokens; merging them in order gives the original, but for the
// sources, which no part can tell. None appears before all are written. Fails (usage) when the
// larger split has fewer documents than parts.
std::vector<ShardManifest> split_into_parts(const ShardDirectory& shards,
                                            const Tokenizer& tokenizer, const fs::path& prefix,
                                            uint32_t parts, bool replace);

// The documents, those of train before those of val, parted anew by the hash of their text as
// build_shards() does (parting.h); a document is cut between two tokens.
ShardManifest split_again(const ShardDirectory& shards, const Tokenizer& tokenizer,
                          const fs::path& out, double val_fraction, bool replace);

}  // namespace mythos
