#include "text/stages/added_tokens.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/unicode/char_sets.h"

namespace mythos {
namespace {

size_t first_character(std::string_view text) {
  return static_cast<size_t>(std::max(utf8_sequence(text), 0));
}

size_t size_without_trailing_space(std::string_view text) {
  for (;;) {
    const size_t size = utf8_last(text);
    if (!CharSet::spaces().has(text.substr(text.size() - size))) return text.size();
    text.remove_suffix(size);
  }
}

size_t leading_space(std::string_view text) {
  size_t at = 0;
  for (;;) {
    const size_t size = first_character(text.substr(at));
    if (!CharSet::spaces().has(text.substr(at, size))) return at;
    at += size;
  }
}

// Whether a word goes on at the ends of text[begin, end).
bool is_part_of_word(std::string_view text, size_t begin, size_t end) {
  const std::string_view before = text.substr(0, begin), behind = text.substr(end);
  const CharSet& words = CharSet::words();
  return words.has(before.substr(before.size() - utf8_last(before))) ||
         words.has(behind.substr(0, first_character(behind)));
}

}  // namespace

uint32_t NameFinder::child(uint32_t node, char byte) const {
  uint32_t at = nodes_[node].child;
  while (at != kNone && nodes_[at].byte != byte) at = nodes_[at].sibling;
  return at;
}

void NameFinder::add(std::string_view name, uint32_t value) {
  begins_[static_cast<unsigned char>(name[0])] = true;
  uint32_t node = 0;
  for (const char byte : name) {
    uint32_t next = child(node, byte);
    if (next == kNone) {
      next = static_cast<uint32_t>(nodes_.size());
      nodes_.push_back({byte, kNone, kNone, nodes_[node].child});
      nodes_[node].child = next;
    }
    node = next;
  }
  nodes_[node].value = value;
}

std::optional<NameFinder::Match> NameFinder::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!begins_[static_cast<unsigned char>(text[begin])]) continue;
    Match match;
    uint32_t node = 0;
    for (size_t at = begin; at < text.size(); ++at) {
      node = child(node, text[at]);
      if (node == kNone) break;
      if (nodes_[node].value != kNone) match = {begin, at + 1, nodes_[node].value};
    }
    if (match.end > 0) return match;
  }
  return std::nullopt;
}

void AddedTokens::add(AddedToken token) {
  const std::string spelling = token.name;
  add(std::move(token), spelling);
}

void AddedTokens::add(AddedToken token, std::string_view spelling) {
  const auto place = static_cast<uint32_t>(tokens_.size());
  if (!spelling.empty()) (token.second_pass ? second_ : first_).add(spelling, place);
  has_ordinary_ |= !token.special;
  if (token.second_pass) {
    can_cut_ &= !token.rstrip;
    // Spaces may be written otherwise once text is normalised.
    for (size_t i = 1; i < spelling.size(); ++i) {
      can_cut_ &= !is_ascii_letter(spelling[i - 1]) ||
                  (spelling[i] > ' ' && static_cast<unsigned char>(spelling[i]) < 0x80);
    }
  }
  tokens_.push_back(std::move(token));
}

void AddedTokens::make_special(uint32_t id) {
  has_ordinary_ = false;
  for (AddedToken& token : tokens_) {
    token.special |= token.id == id;
    has_ordinary_ |= !token.special;
  }
}

std::vector<AddedTokens::Section> AddedTokens::cut_pass(const NameFinder& finder,
                                                        std::string_view text,
                                                        Specials specials) const {
  std::vector<Section> out;
  size_t done = 0, from = 0;
  while (const auto match = finder.find(text, from)) {
    from = match->end;
    const AddedToken& token = tokens_[match->value];
    if (token.special && specials == Specials::as_text) continue;
    if (token.single_word && is_part_of_word(text, match->begin, match->end)) continue;
    // What an earlier rstrip took may hold this name: then nothing stands between the two.
    size_t begin = match->begin;
    if (token.lstrip && begin > done) {
      begin = done + size_without_trailing_space(text.substr(done, begin - done));
    }
    if (begin > done) out.push_back({text.substr(done, begin - done), std::nullopt});
    out.push_back({{}, token.id});
    done = match->end + (token.rstrip ? leading_space(text.substr(match->end)) : 0);
  }
  if (done < text.size()) out.push_back({text.substr(done), std::nullopt});
  return out;
}

}  // namespace mythos
