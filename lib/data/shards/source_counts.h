#pragma once
#include <string>
#include <vector>

#include "data/shards/shards.h"

namespace mythos {

// The names under which inputs are counted: their own, or where those are more than `most`, the
// directories that they lie in, or further up until no more than that are left.
std::vector<std::string> source_names(std::vector<std::string> inputs, size_t most = 1000);

// Adds the sources of a manifest to a list, or all of its documents as "(not recorded)" where it
// has none.
void add_sources(std::vector<SourceInfo>& sources, const ShardManifest& from);

// Counts documents by source in a manifest's list.
class SourceCounts {
 public:
  // Sources in the list are added to where the names are equal.
  SourceCounts(std::vector<SourceInfo>& sources, const std::vector<std::string>& inputs)
      : sources_(sources), names_(source_names(inputs)), places_(names_.size(), kNone) {}
  void add(size_t input, uint64_t tokens, uint64_t text_bytes);

 private:
  static constexpr size_t kNone = ~size_t{0};
  std::vector<SourceInfo>& sources_;
  std::vector<std::string> names_;
  std::vector<size_t> places_;  // of each input in sources_
};

}  // namespace mythos
