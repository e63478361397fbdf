#pragma once
#include <vector>

#include "base/stop.h"
#include "data/shards/shards.h"

namespace mythos {

// The functions of this header throw Stopped, having removed what is unfinished, fail as
// ShardWriter does if the target exists, and make shards of the default sizes, so that the result
// depends on the documents alone, not on the files that they came in.

// Writes the documents of all inputs, one input after the other, into one directory; each document
// stays in its split. Sources are recorded if all inputs record them. Fails (data), showing both
// fingerprints or both settings, unless all inputs have one tokenizer and agree on BOS and EOS. If
// an input is masked, so is the result, in which all tokens of the other inputs count.
ShardManifest merge_shards(const std::vector<ShardDirectory>& inputs, const Tokenizer& tokenizer,
                           const fs::path& out, bool replace, StopToken stop = {});

// The name of a part: "PREFIX-00003".
fs::path part_name(const fs::path& prefix, size_t part);

// Writes parts 0 … n-1 under the names that part_name() gives. Each has a run of whole documents of
// both splits, with nearly 1/parts of each split's tokens. Merging the parts in order gives the
// original, except for the sources, which no part can tell. No part appears before all are written.
// Fails (usage) if the larger split has fewer documents than parts.
std::vector<ShardManifest> split_into_parts(const ShardDirectory& shards,
                                            const Tokenizer& tokenizer, const fs::path& prefix,
                                            uint32_t parts, bool replace, StopToken stop = {});

// Parts the documents, those of train before those of val, anew by the hash of their text as
// build_shards() does (parting.h). If a document must be cut, it is cut between two tokens;
// documents with masks are not cut.
ShardManifest split_again(const ShardDirectory& shards, const Tokenizer& tokenizer,
                          const fs::path& out, double val_fraction, bool replace,
                          StopToken stop = {});

}  // namespace mythos
