#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace mythos {

// XXH3-128 of a text, with a seed that makes it independent of the hash by which documents are
// parted into training and validation.
struct TextHash {
  uint64_t low = 0, high = 0;
  bool operator==(const TextHash&) const = default;
};
TextHash hash_text(std::string_view text);

// A set of texts that keeps only their hashes. Among a billion texts, two different ones count as
// equal with a probability of about 1e-20. Each slot of the table takes 16 bytes, and the table is
// between 3/8 and 3/4 full: 21 to 43 bytes for each text, and half as much again while the table
// grows.
class TextHashSet {
 public:
  // Inserts a hash; returns whether it was new.
  bool insert(TextHash hash);

 private:
  // The slot of the hash, or the free slot where it belongs.
  size_t place(TextHash hash) const;
  void grow();

  std::vector<TextHash> table_;  // a power of two slots, or none; all zeros is a free slot
  size_t size_ = 0;
};

}  // namespace mythos
