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

// The merges that a tokenizer file lists: for each pair of neighbouring tokens its rank and the
// token that the pair becomes.
class PairMerges {
 public:
  static constexpr uint32_t kNone = Vocabulary::kNone;

  explicit PairMerges(size_t merges);
  // Adds a merge, whose rank is the number of calls before it. A pair that is added again has its
  // last rank.
  void add(uint32_t left, uint32_t right, uint32_t merged);

  uint32_t rank(uint32_t left, uint32_t right) const;
  uint32_t merged(uint32_t rank) const { return merged_[rank]; }
  bool empty() const { return merged_.empty(); }
  // Whether a merge gives this token.
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

// The facts about byte pair encoding that a tokenizer file gives.
struct BpeParts {
  explicit BpeParts(Vocabulary tokens) : vocabulary(std::move(tokens)) {}

  Vocabulary vocabulary;
  // Nothing for a rank file, whose ids are the ranks: two neighbours may merge if the vocabulary
  // has a token of their bytes.
  std::optional<PairMerges> merges;
  // Whether merging begins with characters, which the vocabulary holds as they are, instead of
  // bytes.
  bool characters = false;
  // The token of each byte; a byte with kNone is dropped. With `characters` these tokens stand for
  // the bytes of a character that has no token, and all are kNone if the model has no such byte
  // fallback.
  std::array<uint32_t, 256> byte_ids = {};
  // The token for bytes or characters that have none of their own, and whether a run of them
  // becomes one token.
  uint32_t unknown_id = Vocabulary::kNone;
  bool fuse_unknown = false;
  // A piece that is in the vocabulary becomes that token even if no merges lead to it.
  bool whole_pieces = false;
  // What a piece's last byte or character is followed by when its token is looked up: "</w>" in
  // CLIP's models. Only with listed merges.
  std::string suffix = {};

  // Sets byte_ids to the tokens of single bytes. Returns the first byte that has no token, or -1.
  int find_byte_ids();
};

// Byte pair encoding within one piece of text (Sennrich et al., 2016): the pair of neighbours with
// the lowest rank merges, the leftmost of equals first, until no pair has a rank. Takes n log n
// steps for n bytes. Const members may be called from several threads at once.
class BpeModel : public PieceModel {
 public:
  explicit BpeModel(BpeParts parts);

  const Vocabulary& vocabulary() const override { return parts_.vocabulary; }
  void encode_pieces(std::string_view text, std::span<const size_t> ends,
                     std::vector<uint32_t>& ids) const override;
  // Bytes that are no UTF-8 merge like those of a piece; with `characters` each becomes its own
  // token.
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
  uint32_t number_;  // different for each model
  // Whether merges lead to a token; found out when the token is first met as a whole piece.
  enum : uint8_t { kUnknown, kYes, kNo };
  std::unique_ptr<std::atomic<uint8_t>[]> reachable_;
  std::array<uint32_t, 256> last_byte_ids_ = {};  // tokens of a piece's last byte with the suffix
  // With `characters`: the tokens of ASCII's characters, and the pairs between which long pieces
  // cannot be cut.
  std::array<uint32_t, 128> ascii_ids_ = {};
  std::unique_ptr<JoinedPairs> pairs_;
  // Also before unknown characters, as no run of them becomes one token.
  bool cuts_anywhere_ = false;
};

}  // namespace mythos
