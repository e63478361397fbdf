#include "text/pieces/word_piece.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/pieces/recent_pieces.h"

namespace mythos {
namespace {

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

WordPiece::WordPiece(WordPieceParts parts)
    : parts_(std::move(parts)), number_(RecentPieces::next_model_number()) {
  const std::vector<DoubleArray::Key> first = parts_.vocabulary.indexed();
  std::vector<DoubleArray::Key> further;  // sorted as well, as all lose the same prefix
  for (const auto& [token, id] : first) {
    if (token.size() > parts_.prefix.size() && token.starts_with(parts_.prefix)) {
      further.emplace_back(token.substr(parts_.prefix.size()), id);
    }
  }
  first_ = std::make_unique<DoubleArray>(first);
  if (!further.empty()) further_ = std::make_unique<DoubleArray>(further);
}

void WordPiece::encode_pieces(std::string_view text, std::span<const size_t> ends,
                              std::vector<uint32_t>& ids) const {
  RecentPieces::append_each(number_, text, ends, ids,
                            [&](std::string_view word) { encode(word, ids); });
}

void WordPiece::encode_bytes(std::string_view, std::vector<uint32_t>& ids) const {
  ids.push_back(parts_.unknown_id);
}

bool WordPiece::text_gives(uint32_t id) const {
  return id == parts_.unknown_id || parts_.vocabulary.find(parts_.vocabulary.bytes(id)) == id;
}

void WordPiece::encode(std::string_view word, std::vector<uint32_t>& ids) const {
  const size_t first = ids.size();
  std::string_view rest = word;
  if (count_characters(word) > parts_.max_characters) rest = {};
  bool covered = !rest.empty();
  while (covered && !rest.empty()) {
    const DoubleArray* trie = rest.size() == word.size() ? first_.get() : further_.get();
    size_t size = 0;
    uint32_t token = 0;
    if (trie) {
      trie->for_each_prefix(rest, [&](size_t prefix, uint32_t id) {
        size = prefix;  // the longest match comes last
        token = id;
      });
    }
    covered = size > 0;
    rest.remove_prefix(size);
    ids.push_back(token);
  }
  if (covered) return;
  ids.resize(first);
  ids.push_back(parts_.unknown_id);
}

}  // namespace mythos
