#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/pieces/joined_pairs.h"
#include "text/pieces/piece_model.h"

namespace mythos {

// The merges of a vocabulary that lists them: the rank of each pair of neighbouring tokens and the
// token that it becomes.
class PairMerges {
 public:
  static constexpr uint32_t kNone = Vocabulary::kNone;

  explicit PairMerges(size_t merges);
  // Ranks are the order of the calls. A pair that comes again has its last rank.
  void add(uint32_t left, uint32_t right, uint32_t merged);

  uint32_t rank(uint32_t left, uint32_t right) const;
  uint32_t merged(uint32_t rank) const { return merged_[rank]; }
  bool empty() const { return merged_.empty(); }
  // Whether some merge gives this token.
  bool gives(uint32_t token) const {
    return std::find(merged_.begin(), merged_.end(), token) != merged_.end();
  }

 private:
  struct Slot {
    uint64_t key;
    uint32_t rank;
  };
  Slot& slot(uint64_t key);

  std::vector<Slot> slots_;  // open addressing, a power of two of them, at most half full
  std::vector<uint32_t> merged_;
  int shift_ = 0;
};

// What a tokenizer file tells of byte pair encoding.
struct BpeParts {
  explicit BpeParts(Vocabulary tokens) : vocabulary(std::move(tokens)) {}

  Vocabulary vocabulary;
  // Nothing: a rank file, in which two neighbours may merge when the vocabulary has their bytes,
  // and the id is the rank.
  std::optional<PairMerges> merges;
  // What merges begin with: bytes; or characters, which the vocabulary holds as they are.
  bool characters = false;
  // Token of each byte; kNone: the byte is dropped. With `characters` the tokens of a character
  // that is none; all kNone where there is no such byte fallback.
  std::array<uint32_t, 256> byte_ids = {};
  // Token of the bytes or characters that have none, and whether a run of them becomes one.
  uint32_t unknown_id = Vocabulary::kNone;
  bool fuse_unknown = false;
  // A piece that is in the vocabulary is that token, whether merges lead to it or not.
  bool whole_pieces = false;
  // Stands behind the last byte or character of each piece when its token is looked up: "</w>" in
  // CLIP's models. Only where merges are listed.
  std::string suffix = {};

  // Sets byte_ids to the tokens of single bytes. The first byte that has none; -1 if all have one.
  int find_byte_ids();
};

// Byte pair encoding within one piece of text (Sennrich et al., 2016): of all neighbours that may
// merge, those of the lowest rank do, the leftmost first, until none may. Takes n log n steps for
// n bytes. Const members may be called from several threads at once.
class BpeModel : public PieceModel {
 public:
  explicit BpeModel(BpeParts parts);

  const Vocabulary& vocabulary() const override { return parts_.vocabulary; }
  void encode_pieces(std::string_view text, std::span<const size_t> ends,
                     std::vector<uint32_t>& ids) const override;
  // Bytes merge like those of a piece; with `characters` each is its token.
  void encode_bytes(std::string_view bytes, std::vector<uint32_t>& ids) const override;
  bool text_gives(uint32_t id) const override;
  bool ends_at_cut() const override;

 private:
  void encode(std::string_view piece, const Vocabulary::Key& key, std::vector<uint32_t>& ids) const;
  bool merges_give(uint32_t id) const;
  void merge(std::string_view piece, std::vector<uint32_t>& ids) const;
  void begin_with_bytes(std::string_view piece, bool ends, std::vector<uint32_t>& ids) const;
  void begin_with_characters(std::string_view piece, std::vector<uint32_t>& ids) const;
  uint32_t character_id(std::string_view character) const;
  bool falls_back(std::string_view bytes) const;
  void cut_apart(std::string_view text, std::span<const size_t> ends,
                 std::vector<size_t>& finer) const;

  BpeParts parts_;
  uint32_t number_;  // tells models apart
  // Of tokens that were met as whole pieces: whether merges lead to them. Unknown at first.
  enum : uint8_t { kUnknown, kYes, kNo };
  std::unique_ptr<std::atomic<uint8_t>[]> reachable_;
  std::array<uint32_t, 256> last_byte_ids_ = {};  // of a piece's last byte, with the suffix
  // With `characters`: the ids of ASCII, and where long pieces can be cut.
  std::array<uint32_t, 128> ascii_ids_ = {};
  std::unique_ptr<JoinedPairs> pairs_;
  bool cuts_anywhere_ = false;  // before unknown characters too: their tokens do not run together
};

}  // namespace mythos
