#include "data/shards/source_counts.h"

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace mythos {

std::vector<std::string> source_names(std::vector<std::string> names, size_t most) {
  for (bool changed = true; changed;) {
    if (std::set<std::string>(names.begin(), names.end()).size() <= most) break;
    changed = false;
    for (std::string& name : names) {
      std::string above = fs::path(name).parent_path().string();
      if (above.empty()) above = ".";
      changed |= above != name;
      name = std::move(above);
    }
  }
  // A manifest is UTF-8, while a file name can be any bytes.
  for (std::string& name : names) name = escaped(name, 4096);
  return names;
}

namespace {

// The index of the source of that name; adds the source if it is missing.
size_t place_of(std::vector<SourceInfo>& sources, const std::string& name) {
  const auto known = std::find_if(sources.begin(), sources.end(),
                                  [&](const SourceInfo& source) { return source.name == name; });
  if (known != sources.end()) return static_cast<size_t>(known - sources.begin());
  sources.push_back({name, 0, 0, 0});
  return sources.size() - 1;
}

void add_source(std::vector<SourceInfo>& sources, const SourceInfo& from) {
  SourceInfo& source = sources[place_of(sources, from.name)];
  source.documents += from.documents;
  source.tokens += from.tokens;
  source.text_bytes += from.text_bytes;
}

}  // namespace

void add_sources(std::vector<SourceInfo>& sources, const ShardManifest& from) {
  for (const SourceInfo& source : from.sources) add_source(sources, source);
  if (!from.sources.empty()) return;
  add_source(sources,
             {"(not recorded)", from.train.documents + from.val.documents,
              from.train.tokens + from.val.tokens, from.train.text_bytes + from.val.text_bytes});
}

void SourceCounts::add(size_t input, uint64_t tokens, uint64_t text_bytes) {
  if (places_[input] == kNone) places_[input] = place_of(sources_, names_[input]);
  SourceInfo& source = sources_[places_[input]];
  source.documents += 1;
  source.tokens += tokens;
  source.text_bytes += text_bytes;
}

}  // namespace mythos
