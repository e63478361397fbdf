#include "data/read/text_hash.h"

#include <xxhash.h>

#include <utility>

namespace mythos {

TextHash hash_text(std::string_view text) {
  constexpr XXH64_hash_t kSeed = 0x6d7974686f732d31;
  const XXH128_hash_t hash = XXH3_128bits_withSeed(text.data(), text.size(), kSeed);
  return {hash.low64, hash.high64};
}

bool TextHashSet::insert(TextHash hash) {
  if (hash == TextHash{}) hash.low = 1;
  if ((size_ + 1) * 4 > table_.size() * 3) grow();
  TextHash& found = table_[place(hash)];
  if (found == hash) return false;
  found = hash;
  ++size_;
  return true;
}

// The high half of the hash decides, as a sample may have been chosen by the low half.
size_t TextHashSet::place(TextHash hash) const {
  const size_t mask = table_.size() - 1;
  size_t at = hash.high & mask;
  while (table_[at] != TextHash{} && table_[at] != hash) at = (at + 1) & mask;
  return at;
}

void TextHashSet::grow() {
  constexpr size_t kFirstSize = 1024;
  std::vector<TextHash> old =
      std::exchange(table_, std::vector<TextHash>(table_.empty() ? kFirstSize : 2 * table_.size()));
  for (const TextHash& hash : old) {
    if (hash != TextHash{}) table_[place(hash)] = hash;
  }
}

}  // namespace mythos
