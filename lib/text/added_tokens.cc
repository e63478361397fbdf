#include "text/added_tokens.h"

namespace mythos {
namespace {

// Unicode's White_Space.
constexpr std::string_view kSpaces[] = {
    "\t",     "\n",     "\v",     "\f",     "\r",     " ",      "\u0085", "\u00A0", "\u1680",
    "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008",
    "\u2009", "\u200A", "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"};

size_t size_without_trailing_space(std::string_view text) {
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view space : kSpaces) {
      if (!text.ends_with(space)) continue;
      text.remove_suffix(space.size());
      found = true;
    }
  }
  return text.size();
}

size_t leading_space(std::string_view text) {
  const size_t size = text.size();
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view space : kSpaces) {
      if (!text.starts_with(space)) continue;
      text.remove_prefix(space.size());
      found = true;
    }
  }
  return size - text.size();
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
  const auto place = static_cast<uint32_t>(tokens_.size());
  (token.second_pass ? second_ : first_).add(token.name, place);
  has_ordinary_ |= !token.special;
  tokens_.push_back(std::move(token));
}

std::vector<AddedTokens::Section> AddedTokens::cut(std::string_view text, Specials specials) const {
  std::vector<Section> sections;
  if (!relevant(specials)) {
    if (!text.empty()) sections.push_back({text, std::nullopt});
    return sections;
  }
  cut_pass(first_, text, specials, sections);
  if (second_.empty()) return sections;
  std::vector<Section> out;
  for (const Section& section : sections) {
    if (section.id) {
      out.push_back(section);
    } else {
      cut_pass(second_, section.text, specials, out);
    }
  }
  return out;
}

void AddedTokens::cut_pass(const NameFinder& finder, std::string_view text, Specials specials,
                           std::vector<Section>& out) const {
  size_t done = 0, from = 0;
  while (const auto match = finder.find(text, from)) {
    from = match->end;
    const AddedToken& token = tokens_[match->value];
    if (token.special && specials == Specials::as_text) continue;
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
}

}  // namespace mythos
