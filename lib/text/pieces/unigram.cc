#include "text/pieces/unigram.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/pieces/recent_pieces.h"

namespace mythos {
namespace {

// How far the score of an unknown character lies below the least score.
constexpr double kUnknownPenalty = 10;
// So many bytes are looked at before tokens are put out.
constexpr size_t kWindow_bytes = 1024;

}  // namespace

// Puts out the tokens of the best paths in order; a run of unknown characters becomes one token.
class Unigram::Path {
 public:
  Path(const Unigram& model, std::string_view piece, std::vector<uint32_t>& ids)
      : model_(model), piece_(piece), ids_(ids) {}

  // Puts out the path through nodes[0, size), which begins where the last path ended.
  void put(const std::vector<Node>& nodes, size_t size) {
    thread_local std::vector<Node> backwards;
    backwards.clear();
    for (size_t at = size; at > 0; at -= nodes[at].size) backwards.push_back(nodes[at]);
    for (auto node = backwards.rbegin(); node != backwards.rend(); ++node) {
      if (node->id != model_.parts_.unknown_id) {
        finish();
        ids_.push_back(node->id);
        unknown_begin_ += node->size;
      }
      end_ += node->size;
    }
  }
  void finish() {
    if (end_ > unknown_begin_) {
      model_.put_unknown(piece_.substr(unknown_begin_, end_ - unknown_begin_), ids_);
    }
    unknown_begin_ = end_;
  }

 private:
  const Unigram& model_;
  std::string_view piece_;
  std::vector<uint32_t>& ids_;
  size_t unknown_begin_ = 0, end_ = 0;  // of the run of unknown characters that is not put out yet
};

Unigram::Unigram(UnigramParts parts)
    : parts_(std::move(parts)), number_(RecentPieces::next_model_number()) {
  trie_ = std::make_unique<DoubleArray>(parts_.vocabulary.indexed());
  unknown_score_ = *std::min_element(parts_.scores.begin(), parts_.scores.end()) - kUnknownPenalty;
}

void Unigram::encode_pieces(std::string_view text, std::span<const size_t> ends,
                            std::vector<uint32_t>& ids) const {
  RecentPieces::append_each(number_, text, ends, ids,
                            [&](std::string_view piece) { encode(piece, ids); });
}

void Unigram::encode_bytes(std::string_view bytes, std::vector<uint32_t>& ids) const {
  put_unknown(bytes, ids);
}

bool Unigram::text_gives(uint32_t id) const {
  if (id == parts_.unknown_id) return true;
  if (std::find(parts_.byte_ids.begin(), parts_.byte_ids.end(), id) != parts_.byte_ids.end()) {
    return true;
  }
  return parts_.vocabulary.find(parts_.vocabulary.bytes(id)) == id;
}

void Unigram::encode(std::string_view piece, std::vector<uint32_t>& ids) const {
  thread_local std::vector<Node> nodes;
  Path path(*this, piece, ids);
  size_t base = 0, reach = 0;  // offset of the first node; end of the furthest token
  const auto offer = [&](size_t begin, size_t end, double score, uint32_t id) {
    if (end - base >= nodes.size()) nodes.resize(end - base + kWindow_bytes);
    Node& node = nodes[end - base];
    score += nodes[begin - base].score;
    if (node.size > 0 && score <= node.score) return;
    node = {score, static_cast<uint32_t>(end - begin), id};
  };
  nodes.assign(std::min(piece.size() + 1, kWindow_bytes), Node());
  for (size_t at = 0; at < piece.size();) {
    // No token reaches beyond this offset, so all paths lead through it.
    if (reach == at && at - base >= kWindow_bytes) {
      path.put(nodes, at - base);
      const double score = nodes[at - base].score;
      nodes.assign(kWindow_bytes, Node());
      nodes[0].score = score;
      base = at;
    }
    const auto length = static_cast<size_t>(utf8_sequence(piece.substr(at)));
    bool single = false;
    trie_->for_each_prefix(piece.substr(at), [&](size_t size, uint32_t id) {
      offer(at, at + size, parts_.scores[id], id);
      single |= size == length;
      reach = std::max(reach, at + size);
    });
    if (!single) offer(at, at + length, unknown_score_, parts_.unknown_id);
    at += length;
    reach = std::max(reach, at);
  }
  path.put(nodes, piece.size() - base);
  path.finish();
}

// Puts out a run of unknown characters. The run may be a token that the best path did not take.
void Unigram::put_unknown(std::string_view run, std::vector<uint32_t>& ids) const {
  if (const uint32_t id = parts_.vocabulary.find(run); id != Vocabulary::kNone)
    return ids.push_back(id);
  const size_t first = ids.size();
  for (const char c : run) ids.push_back(parts_.byte_ids[static_cast<unsigned char>(c)]);
  if (std::find(ids.begin() + static_cast<ptrdiff_t>(first), ids.end(), Vocabulary::kNone) ==
      ids.end())
    return;
  ids.resize(first);
  ids.push_back(parts_.unknown_id);
}

}  // namespace mythos
