#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace mythos {

// XXH3-128 of a text, with a seed of its own: independent of the hash by which documents are parted
// into training and validation.
struct TextHash {
  uint64_t low = 0, high = 0;
  bool operator==(const TextHash&) const = default;
};
TextHash hash_text(std::string_view text);

// A set of texts by their hashes alone. Two different texts are taken for one with a probability of
// about 1e-20 in a billion. Takes 16 bytes for each place of a table that is between 3/8 and 3/4
// full: 21 to 43 bytes for each text, and half as much again while the table grows.
class TextHashSet {
 public:
  // Whether the hash was new.
  bool insert(TextHash hash);

 private:
  // The place of the hash, or the free place where it belongs.
  size_t place(TextHash hash) const;
  void grow();

  std::vector<TextHash> table_;  // a power of two, or none; all zero: free
  size_t size_ = 0;
};

}  // namespace mythos
