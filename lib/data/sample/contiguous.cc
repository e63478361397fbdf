#include <algorithm>
#include <bit>

#include "base/error.h"
#include "base/rng.h"
#include "base/strings.h"
#include "data/sample/sequences.h"

namespace mythos {
namespace {

using Split = ShardDirectory::Split;

class ContiguousOrder : public SequenceOrder {
 public:
  ContiguousOrder(const ShardDirectory& data, Split split, const Sampler::Options& options)
      : data_(data),
        split_(split),
        length_(static_cast<uint64_t>(options.seq_len)),
        seed_(options.seed),
        shuffle_(options.shuffle),
        tokens_(data.tokens(split)),
        windows_(count_windows(tokens_, options.seq_len)),
        buffer_(length_ + 1) {
    if (tokens_ > length_) return;
    fail(ErrorKind::data,
         strprintf("%s: the %s split has %u tokens; sequences of %u need at least %u.", data.path(),
                   split_name(split), tokens_, length_, length_ + 1),
         "Use a smaller seq_len, or more text.");
  }

  void read(const SequenceRow& row) override {
    const uint64_t window =
        shuffle_ ? permuted(current_.index, windows_, seed_, current_.epoch) : current_.index;
    // The last window would be shorter, so it begins earlier and ends with the stream.
    const uint64_t wanted = window * length_;
    const uint64_t first = std::min(wanted, tokens_ - length_ - 1);
    data_.read(split_, first, buffer_);
    std::copy_n(buffer_.begin(), length_, row.inputs.begin());
    std::copy_n(buffer_.begin() + 1, length_, row.targets.begin());
    if (data_.masked()) {
      data_.read_mask(split_, first + 1, std::span(buffer_).first(length_));
      leave_out_uncounted(row.targets, std::span(buffer_).first(length_));
    }
    std::fill_n(row.targets.begin(), wanted - first, -1);
    if (!row.document_begins.empty()) {
      write_document_begins(data_, split_, first, row.document_begins);
    }
  }

  void advance() override {
    if (++current_.index == windows_) current_ = {current_.epoch + 1, 0, 0};
  }
  SequenceId current() const override { return current_; }
  bool seek(const SequenceId& id) override {
    current_ = id;
    return id.group == 0 && id.index < windows_;
  }
  double epoch() const override {
    return static_cast<double>(current_.epoch) +
           static_cast<double>(current_.index) / static_cast<double>(windows_);
  }

 private:
  const ShardDirectory& data_;
  const Split split_;
  const uint64_t length_, seed_;
  const bool shuffle_;
  const uint64_t tokens_, windows_;
  std::vector<uint32_t> buffer_;
  SequenceId current_;
};

}  // namespace

// Applies a Feistel network over the next even power of two until the value is below n (Black and
// Rogaway, "Ciphers with arbitrary finite domains", 2002).
uint64_t permuted(uint64_t index, uint64_t n, uint64_t seed, uint64_t epoch) {
  constexpr int kRounds = 6;
  const int half = std::max(1, (static_cast<int>(std::bit_width(n - 1)) + 1) / 2);
  const uint64_t mask = (uint64_t{1} << half) - 1;
  uint64_t keys[kRounds];
  Rng rng(seed, epoch);
  for (uint64_t& key : keys) key = rng.next();
  do {
    uint64_t left = index >> half, right = index & mask;
    for (const uint64_t key : keys) {
      const uint64_t mixed = left ^ (Rng(key, 0, right).next() & mask);
      left = right;
      right = mixed;
    }
    index = left << half | right;
  } while (index >= n);
  return index;
}

void write_document_begins(const ShardDirectory& data, Split split, uint64_t first,
                           std::span<int32_t> begins) {
  uint64_t document = data.document_of(split, first) + 1;
  uint64_t next = data.document_begin(split, document);
  int32_t begin = 0;
  for (size_t i = 0; i < begins.size(); ++i) {
    if (first + i == next) {
      begin = static_cast<int32_t>(i);
      next = data.document_begin(split, ++document);
    }
    begins[i] = begin;
  }
}

uint64_t count_windows(uint64_t tokens, int64_t seq_len, int64_t stride) {
  const auto length = static_cast<uint64_t>(seq_len);
  const uint64_t step = stride > 0 ? static_cast<uint64_t>(stride) : length;
  return tokens < 2 ? 0 : 1 + (std::max(tokens - 1, length) - length + step - 1) / step;
}

std::unique_ptr<SequenceOrder> contiguous_order(const ShardDirectory& data, Split split,
                                                const Sampler::Options& options) {
  return std::make_unique<ContiguousOrder>(data, split, options);
}

}  // namespace mythos
