#include "text/vocabulary.h"

#include <bit>
#include <cstring>

namespace mythos {
namespace {

template <class Word>
uint64_t load(const char* at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

}  // namespace

Vocabulary::Vocabulary(uint32_t size, size_t bytes) : spans_(size) {
  bytes_.reserve(bytes);
  const int bits = std::bit_width(uint64_t{2} * size + 1);
  shift_ = 64 - bits;
  slots_.assign(size_t{1} << bits, Slot{0, kNone, 0});
}

// Never reads outside of `bytes`: the words of a short string overlap.
uint64_t Vocabulary::key_of(std::string_view bytes) {
  const char* at = bytes.data();
  const size_t size = bytes.size();
  if (size > kInline) {
    uint64_t hash = size;
    const auto mix = [&](uint64_t word) {
      hash = (hash ^ word) * 0x9FB21C651E98DF25u;
      hash ^= hash >> 32;
    };
    for (size_t i = 0; i + 8 < size; i += 8) mix(load<uint64_t>(at + i));
    mix(load<uint64_t>(at + size - 8));
    return hash;
  }
  if (size >= 4) return load<uint32_t>(at) | load<uint32_t>(at + size - 4) << (8 * (size - 4));
  if (size == 0) return 0;
  return load<uint8_t>(at) | load<uint8_t>(at + size / 2) << (8 * (size / 2)) |
         load<uint8_t>(at + size - 1) << (8 * (size - 1));
}

bool Vocabulary::set(uint32_t id, std::string_view bytes) {
  Span& span = spans_[id];
  if (span.size > 0) return false;
  span = {static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(bytes.size())};
  bytes_ += bytes;
  return true;
}

bool Vocabulary::index(uint32_t id) {
  const std::string_view token = bytes(id);
  if (find(token) != kNone) return false;
  const uint64_t key = key_of(token);
  size_t at = slot_of(key, token.size());
  while (slots_[at].id != kNone) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = {key, id, static_cast<uint32_t>(token.size())};
  longest_ = std::max(longest_, token.size());
  return true;
}

uint32_t Vocabulary::find(std::string_view token) const {
  if (token.size() > longest_) return kNone;
  const uint64_t key = key_of(token);
  for (size_t at = slot_of(key, token.size());; at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.id == kNone) return kNone;
    if (slot.key != key || slot.size != token.size()) continue;
    if (token.size() <= kInline || bytes(slot.id) == token) return slot.id;
  }
}

}  // namespace mythos
