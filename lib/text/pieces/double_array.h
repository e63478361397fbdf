#pragma once
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace mythos {

// A trie of strings in one array (Aoe, 1989). It finds all strings that a text begins with.
class DoubleArray {
 public:
  using Key = std::pair<std::string_view, uint32_t>;  // a string, not empty, and its value

  // `keys` are sorted and different.
  explicit DoubleArray(const std::vector<Key>& keys);

  // Calls visit(bytes, value) for each string that `text` begins with, the shortest first.
  template <class Visit>
  void for_each_prefix(std::string_view text, const Visit& visit) const {
    uint32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      const uint32_t next = units_[node].base + static_cast<unsigned char>(text[i]);
      if (next >= units_.size() || units_[next].parent != node) return;
      node = next;
      if (units_[node].value != kNone) visit(i + 1, units_[node].value);
    }
  }

 private:
  static constexpr uint32_t kNone = 0xFFFFFFFF;
  struct Unit {
    uint32_t base = 0, parent = kNone, value = kNone;
  };
  struct Range {  // the keys that begin alike
    size_t begin, end, depth;
    uint32_t node;
  };
  void add_children(const std::vector<Key>& keys, Range range, std::vector<Range>& open);
  uint32_t find_base(const std::vector<unsigned char>& labels);

  std::vector<Unit> units_;
  uint32_t search_from_ = 1;
};

}  // namespace mythos
