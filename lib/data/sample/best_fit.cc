#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/rng.h"
#include "data/sample/sequences.h"

// Shuffles a split while holding little of it in memory: the split is cut into blocks of tokens,
// the blocks are permuted, and each group of a few blocks is packed and shuffled by itself. The
// pieces that begin in a block belong to it: a whole document is a piece, and a document longer
// than a sequence gives several, windows that overlap by one token. So memory is bounded whatever a
// document's length, and the n-th group is known without the groups before it.
namespace mythos {
namespace {

using Split = ShardDirectory::Split;

constexpr uint64_t kBlockTokens = 1 << 16;
constexpr uint64_t kBlocksOfGroup = 16;

// Tokens of one document that stand together in a sequence; `begin` is their offset in the group's
// buffer. All but the first are targets.
struct Piece {
  size_t begin = 0;
  uint32_t tokens = 0;
};

template <class T>
void shuffle(std::vector<T>& items, Rng& rng) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[rng.below(i)]);
}

class BestFitOrder : public SequenceOrder {
 public:
  BestFitOrder(const ShardDirectory& data, Split split, const Sampler::Options& options)
      : data_(data),
        split_(split),
        length_(static_cast<uint64_t>(options.seq_len)),
        seed_(options.seed),
        shuffle_(options.shuffle),
        // If attention stays within documents, no target follows a document's last token, so it is
        // no input; otherwise it separates the document from the next one.
        last_tokens_(options.document_begins ? 0 : 1),
        tokens_(data.tokens(split)),
        block_tokens_(std::max(kBlockTokens, 4 * (length_ + 1))),
        blocks_((tokens_ + block_tokens_ - 1) / block_tokens_),
        groups_((blocks_ + kBlocksOfGroup - 1) / kBlocksOfGroup) {
    if (tokens_ > data.documents(split)) return;
    fail(ErrorKind::data,
         data.path().string() + ": the " + split_name(split) +
             " split has no document of two tokens or more, so there is nothing "
             "to learn.",
         "Use more text.");
  }

  void read(const SequenceRow& row) override {
    look();
    if (!read_) read_tokens();
    size_t at = 0;
    for (const uint32_t number : sequences_[current_.index]) at = write(pieces_[number], at, row);
    std::fill(row.inputs.begin() + at, row.inputs.end(), 0);
    std::fill(row.targets.begin() + at, row.targets.end(), -1);
    if (!row.document_begins.empty()) {
      std::iota(row.document_begins.begin() + at, row.document_begins.end(),
                static_cast<int32_t>(at));
    }
  }

  void advance() override {
    look();
    if (++current_.index == sequences_.size()) next_group();
  }
  SequenceId current() const override { return current_; }
  bool seek(const SequenceId& id) override {
    if (id.group >= groups_) return false;
    current_ = id;
    known_ = false;
    if (id.index == 0) return true;
    look();
    return current_.group == id.group && current_.index < sequences_.size();
  }
  double epoch() const override {
    const double share =
        known_ ? static_cast<double>(current_.index) / static_cast<double>(sequences_.size()) : 0;
    return static_cast<double>(current_.epoch) +
           (static_cast<double>(current_.group) + share) / static_cast<double>(groups_);
  }

 private:
  uint64_t blocks_of_group() const {
    return std::min(kBlocksOfGroup, blocks_ - current_.group * kBlocksOfGroup);
  }
  uint64_t block_of_group(uint64_t i) const {
    const uint64_t position = current_.group * kBlocksOfGroup + i;
    return shuffle_ ? permuted(position, blocks_, seed_, current_.epoch) : position;
  }
  // The number of tokens to read for a block, whose last piece may end after the block.
  uint64_t buffered_tokens() const { return block_tokens_ + length_; }

  void next_group() {
    known_ = false;
    current_.index = 0;
    if (++current_.group == groups_) current_ = {current_.epoch + 1, 0, 0};
  }

  // Finds the sequences of the group at hand; passes over groups that have none.
  void look() {
    while (!known_) {
      pack();
      known_ = true;
      read_ = false;
      if (sequences_.empty()) next_group();
    }
  }

  void pack() {
    pieces_.clear();
    for (uint64_t i = 0; i < blocks_of_group(); ++i) add_pieces(i);
    std::vector<uint32_t> sizes;
    for (const Piece& piece : pieces_) sizes.push_back(piece.tokens - 1 + last_tokens_);
    sequences_ = best_fit(sizes, static_cast<uint32_t>(length_ + last_tokens_));
    if (!shuffle_) return;
    Rng rng(Rng(seed_, current_.epoch).next(), current_.group);
    shuffle(sequences_, rng);
    // Best fit decreasing puts long documents before short ones, so each sequence is shuffled.
    for (std::vector<uint32_t>& sequence : sequences_) shuffle(sequence, rng);
  }

  // Adds the pieces that begin in the group's i-th block. Over all blocks, every token except a
  // document's first is a target of exactly one piece.
  void add_pieces(uint64_t i) {
    const uint64_t begin = block_of_group(i) * block_tokens_;
    const uint64_t end = std::min(tokens_, begin + block_tokens_);
    uint64_t document = data_.document_of(split_, begin);
    for (uint64_t first = data_.document_begin(split_, document); first < end; ++document) {
      const uint64_t next = data_.document_begin(split_, document + 1);
      uint64_t piece = first;
      if (piece < begin) piece += (begin - first + length_ - 1) / length_ * length_;
      for (; piece < end && piece + 1 < next; piece += length_) {
        pieces_.push_back({i * buffered_tokens() + (piece - begin),
                           static_cast<uint32_t>(std::min(length_ + 1, next - piece))});
      }
      first = next;
    }
  }

  void read_tokens() {
    buffer_.resize(blocks_of_group() * buffered_tokens());
    if (data_.masked()) mask_.resize(buffer_.size());
    for (uint64_t i = 0; i < blocks_of_group(); ++i) {
      const uint64_t begin = block_of_group(i) * block_tokens_;
      const auto part = [&](std::vector<uint32_t>& values) {
        return std::span(values).subspan(i * buffered_tokens(),
                                         std::min(buffered_tokens(), tokens_ - begin));
      };
      data_.read(split_, begin, part(buffer_));
      if (data_.masked()) data_.read_mask(split_, begin, part(mask_));
    }
    read_ = true;
  }

  // Writes a piece at a position of the row and returns the position after it.
  size_t write(const Piece& piece, size_t at, const SequenceRow& row) const {
    const uint32_t* tokens = buffer_.data() + piece.begin;
    const size_t targets = piece.tokens - 1;
    std::copy_n(tokens, targets, row.inputs.begin() + at);
    std::copy_n(tokens + 1, targets, row.targets.begin() + at);
    if (data_.masked()) {
      leave_out_uncounted(row.targets.subspan(at, targets),
                          std::span(mask_).subspan(piece.begin + 1, targets));
    }
    size_t end = at + targets;
    if (last_tokens_ > 0 && end < length_) {
      row.inputs[end] = tokens[targets];
      row.targets[end++] = -1;
    }
    if (!row.document_begins.empty()) {
      std::fill(row.document_begins.begin() + at, row.document_begins.begin() + end,
                static_cast<int32_t>(at));
    }
    return end;
  }

  const ShardDirectory& data_;
  const Split split_;
  const uint64_t length_, seed_;
  const bool shuffle_;
  const uint32_t last_tokens_;
  const uint64_t tokens_, block_tokens_, blocks_, groups_;
  SequenceId current_;
  // Whether the group's sequences are known, and its tokens read.
  bool known_ = false, read_ = false;
  std::vector<Piece> pieces_;
  std::vector<std::vector<uint32_t>> sequences_;
  std::vector<uint32_t> buffer_, mask_;  // tokens, and their marks if the data are masked
};

}  // namespace

std::vector<std::vector<uint32_t>> best_fit(const std::vector<uint32_t>& sizes, uint32_t capacity) {
  std::vector<uint32_t> order(sizes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return sizes[a] > sizes[b]; });
  std::vector<std::vector<uint32_t>> sequences;
  std::set<std::pair<uint32_t, uint32_t>> room;  // (free tokens, sequence) of each sequence
  for (const uint32_t piece : order) {
    const uint32_t size = sizes[piece];
    const auto found = room.lower_bound({size, 0});
    uint32_t left = capacity, sequence = static_cast<uint32_t>(sequences.size());
    if (found == room.end()) {
      sequences.emplace_back();
    } else {
      std::tie(left, sequence) = *found;
      room.erase(found);
    }
    sequences[sequence].push_back(piece);
    if (left > size) room.emplace(left - size, sequence);
  }
  return sequences;
}

std::unique_ptr<SequenceOrder> best_fit_order(const ShardDirectory& data, Split split,
                                              const Sampler::Options& options) {
  return std::make_unique<BestFitOrder>(data, split, options);
}

}  // namespace mythos
