#pragma once
#include <string>
#include <vector>

#include "data/shards/shards.h"

namespace mythos {

// The names under which inputs are counted: their own or, if there are more than `most`, the names
// of the directories that they lie in, and so on upwards until at most that many names are left.
std::vector<std::string> source_names(std::vector<std::string> inputs, size_t most = 1000);

// Adds the sources of a manifest to a list or, if it has none, all of its documents as "(not
// recorded)".
void add_sources(std::vector<SourceInfo>& sources, const ShardManifest& from);

// Counts documents by source, in a manifest's list of sources.
class SourceCounts {
 public:
  // Sources that the list already has under an equal name are counted on.
  SourceCounts(std::vector<SourceInfo>& sources, const std::vector<std::string>& inputs)
      : sources_(sources), names_(source_names(inputs)), places_(names_.size(), kNone) {}
  void add(size_t input, uint64_t tokens, uint64_t text_bytes);

 private:
  static constexpr size_t kNone = ~size_t{0};
  std::vector<SourceInfo>& sources_;
  std::vector<std::string> names_;
  std::vector<size_t> places_;  // the index in sources_ of each input
};

}  // namespace mythos
