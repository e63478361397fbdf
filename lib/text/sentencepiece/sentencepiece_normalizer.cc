#include "text/sentencepiece/sentencepiece_normalizer.h"

#include <normalizer.h>

#include "base/error.h"
#include "base/utf8.h"

namespace mythos {

SentencePieceNormalizer::SentencePieceNormalizer(SentencePieceRules rules,
                                                 const std::string& source)
    : rules_(std::move(rules)), space_(rules_.escape_spaces ? "\u2581" : " ") {
  const std::string_view map = rules_.charsmap;
  if (map.empty()) return;
  const uint32_t trie_bytes = map.size() < 4 ? 0 : CharsmapTrie::number(map);
  if (trie_bytes == 0 || trie_bytes % 1024 != 0 || trie_bytes >= map.size() - sizeof trie_bytes ||
      map.back() != '\0') {
    fail(ErrorKind::data, source + ": the character map of its normalizer is damaged");
  }
  trie_ = CharsmapTrie(map.substr(sizeof trie_bytes, trie_bytes));
  replacements_ = map.substr(sizeof trie_bytes + trie_bytes);
}

SentencePieceNormalizer::Unit SentencePieceNormalizer::first_unit(std::string_view text) const {
  if (rules_.symbols != nullptr) {
    bool found = false;
    const int length = rules_.symbols->PrefixMatch(text, &found);
    if (found) return {text.substr(0, static_cast<size_t>(length)), static_cast<size_t>(length)};
  }
  if (const Unit mapped = mapped_unit(text); mapped.bytes > 0) return mapped;
  const int length = utf8_sequence(text);
  if (length <= 0) return {"\uFFFD", 1};
  return {text.substr(0, static_cast<size_t>(length)), static_cast<size_t>(length)};
}

// The longest key of the character map that `text` begins with, and its replacement; 0 bytes if
// there is none.
SentencePieceNormalizer::Unit SentencePieceNormalizer::mapped_unit(std::string_view text) const {
  Unit longest;
  trie_.for_each_prefix(text, [&](size_t bytes, uint32_t place) {
    if (place < replacements_.size()) longest = {replacements_.data() + place, bytes};
    return true;
  });
  return longest;
}

NormalizedText::NormalizedText(const SentencePieceNormalizer& normalizer, std::string_view text,
                               bool space_before, bool space_after)
    : normalizer_(normalizer),
      rest_(text),
      space_before_(space_before),
      space_after_(space_after),
      behind_space_(normalizer.rules_.remove_extra_spaces) {
  if (!behind_space_) return;
  while (!rest_.empty()) {
    const auto unit = normalizer.first_unit(rest_);
    if (unit.text != " ") return;
    rest_.remove_prefix(unit.bytes);
  }
  space_before_ = space_after_ = false;  // a text of spaces alone counts as empty
}

bool NormalizedText::read(size_t bytes, std::string& out) {
  const bool collapse = normalizer_.rules_.remove_extra_spaces;
  const size_t end = out.size() + bytes;
  if (space_before_) append(" ", out);
  space_before_ = false;
  while (!rest_.empty() && out.size() < end) {
    auto [text, consumed] = normalizer_.first_unit(rest_);
    rest_.remove_prefix(consumed);
    while (behind_space_ && text.starts_with(' ')) text.remove_prefix(1);
    if (text.empty()) continue;
    append(text, out);
    behind_space_ = collapse && text.ends_with(' ');
  }
  if (!rest_.empty()) return true;
  held_spaces_ = 0;
  if (space_after_) out += normalizer_.space_;
  space_after_ = false;
  return false;
}

void NormalizedText::append(std::string_view unit, std::string& out) {
  const std::string_view space = normalizer_.space_;
  if (normalizer_.rules_.remove_extra_spaces) {
    size_t spaces = 0;
    for (;; ++spaces) {
      if (unit.ends_with(' ')) {
        unit.remove_suffix(1);
      } else if (unit.ends_with(space)) {
        unit.remove_suffix(space.size());
      } else {
        break;
      }
    }
    if (!unit.empty()) {
      for (; held_spaces_ > 0; --held_spaces_) out += space;
    }
    held_spaces_ += spaces;
  }
  for (size_t i = 0; i < unit.size(); ++i) {
    if (unit[i] == ' ') {
      out += space;
    } else {
      out += unit[i];
    }
  }
}

}  // namespace mythos
