#include "text/pieces/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace mythos {
namespace {

constexpr int kFilterBits = 21;

size_t filter_bit(uint64_t hash) {
  return static_cast<size_t>(hash >> (64 - kFilterBits));
}

template <class Word>
uint64_t load(const char* at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

}  // namespace

Vocabulary::Vocabulary(uint32_t size, size_t bytes)
    : spans_(size), filter_((size_t{1} << kFilterBits) / 64), pairs_(1 << 16, kNone) {
  bytes_.reserve(bytes);
  const int bits = std::bit_width(uint64_t{2} * size + 1);
  shift_ = 64 - bits;
  slots_.assign(size_t{1} << bits, Slot{0, kNone, 0});
}

// Reads nothing outside of `bytes`: the words of a short string overlap.
Vocabulary::Key::Key(std::string_view bytes) {
  const char* at = bytes.data();
  const size_t size = bytes.size();
  if (size > kInline) {
    word = size;
    const auto mix = [&](uint64_t more) {
      word = (word ^ more) * 0x9FB21C651E98DF25u;
      word ^= word >> 32;
    };
    for (size_t i = 0; i + 8 < size; i += 8) mix(load<uint64_t>(at + i));
    mix(load<uint64_t>(at + size - 8));
  } else if (size >= 4) {
    word = load<uint32_t>(at) | load<uint32_t>(at + size - 4) << (8 * (size - 4));
  } else if (size > 0) {
    word = load<uint8_t>(at) | load<uint8_t>(at + size / 2) << (8 * (size / 2)) |
           load<uint8_t>(at + size - 1) << (8 * (size - 1));
  } else {
    word = 0;
  }
  hash = (word ^ (size * 0x9E3779B97F4A7C15u)) * 0xD6E8FEB86659FD93u;
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
  const Key key(token);
  if (find(token, key) != kNone) return false;
  size_t at = static_cast<size_t>(key.hash >> shift_);
  while (slots_[at].id != kNone) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = {key.word, id, static_cast<uint32_t>(token.size())};
  filter_[filter_bit(key.hash) / 64] |= uint64_t{1} << filter_bit(key.hash) % 64;
  if (token.size() == 2) {
    pairs_[static_cast<size_t>(static_cast<unsigned char>(token[0])) << 8 |
           static_cast<unsigned char>(token[1])] = id;
  }
  longest_ = std::max(longest_, token.size());
  return true;
}

uint32_t Vocabulary::find(std::string_view token, const Key& key) const {
  if (token.size() > longest_) return kNone;
  for (size_t at = static_cast<size_t>(key.hash >> shift_);; at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.id == kNone) return kNone;
    if (slot.word != key.word || slot.size != token.size()) continue;
    if (token.size() <= kInline || bytes(slot.id) == token) return slot.id;
  }
}

uint32_t Vocabulary::find_rare(std::string_view token, const Key& key) const {
  const size_t bit = filter_bit(key.hash);
  if ((filter_[bit / 64] >> bit % 64 & 1) == 0) return kNone;
  return find(token, key);
}

std::vector<std::pair<std::string_view, uint32_t>> Vocabulary::indexed() const {
  std::vector<std::pair<std::string_view, uint32_t>> tokens;
  for (uint32_t id = 0; id < size(); ++id) {
    const std::string_view token = bytes(id);
    if (!token.empty() && find(token) == id) tokens.emplace_back(token, id);
  }
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

}  // namespace mythos
