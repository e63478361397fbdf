#include "text/pieces/double_array.h"

#include <algorithm>

namespace mythos {

DoubleArray::DoubleArray(const std::vector<Key>& keys) : units_(512) {
  units_[0].parent = 0;
  std::vector<Range> open = {{0, keys.size(), 0, 0}};
  while (!open.empty()) {
    const Range range = open.back();
    open.pop_back();
    add_children(keys, range, open);
  }
  // A leaf has the base 0. The units from 0 on are the root's children, whose parent is not this
  // leaf, so no label leads on from it.
}

void DoubleArray::add_children(const std::vector<Key>& keys, Range range,
                               std::vector<Range>& open) {
  size_t begin = range.begin;
  if (begin < range.end && keys[begin].first.size() == range.depth) {
    units_[range.node].value = keys[begin++].second;
  }
  std::vector<unsigned char> labels;
  const size_t first_open = open.size();
  for (size_t end = begin; begin < range.end; begin = end) {
    const char label = keys[begin].first[range.depth];
    while (end < range.end && keys[end].first[range.depth] == label) ++end;
    labels.push_back(static_cast<unsigned char>(label));
    open.push_back({begin, end, range.depth + 1, 0});
  }
  if (labels.empty()) return;
  const uint32_t base = find_base(labels);
  units_[range.node].base = base;
  for (size_t i = 0; i < labels.size(); ++i) {
    open[first_open + i].node = base + labels[i];
    units_[base + labels[i]].parent = range.node;
  }
}

// The first base from which all labels lead to free units. `search_from_` moves past the part of
// the array that is nearly full.
uint32_t DoubleArray::find_base(const std::vector<unsigned char>& labels) {
  uint32_t taken = 0;
  for (uint32_t at = std::max<uint32_t>(search_from_, labels[0] + 1u);; ++at) {
    const uint32_t base = at - labels[0];
    if (base + 256u >= units_.size()) units_.resize(units_.size() * 2);
    if (units_[at].parent != kNone) {
      ++taken;
      continue;
    }
    const bool free = std::all_of(labels.begin(), labels.end(), [&](unsigned char label) {
      return units_[base + label].parent == kNone;
    });
    if (!free) continue;
    if (at > search_from_ && taken * 20 >= (at - search_from_) * 19) search_from_ = at;
    return base;
  }
}

}  // namespace mythos
