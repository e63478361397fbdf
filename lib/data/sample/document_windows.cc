#include "data/sample/document_windows.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "data/sample/sequences.h"

namespace mythos {

DocumentWindows::DocumentWindows(const ShardDirectory& data, ShardDirectory::Split split,
                                 const Options& options)
    : data_(data),
      split_(split),
      options_(options),
      length_(static_cast<uint64_t>(options.seq_len)),
      step_(options.stride > 0 ? static_cast<uint64_t>(options.stride) : length_) {
  options_.tokens = std::min(options.tokens, data.tokens(split));
  if (data.documents(split) > 0) end_ = std::min(options_.tokens, data.document_begin(split, 1));
  waiting_ = find_piece();
}

// The next piece with a target of its own, if there is one.
std::optional<DocumentWindows::Piece> DocumentWindows::find_piece() {
  for (;;) {
    const uint64_t begin = next_begin_, known = begin == begin_ ? 0 : length_ - step_;
    if (begin + known + 1 < end_) {
      next_begin_ += step_;
      return Piece{begin, std::min(length_ + 1, end_ - begin), known};
    }
    if (end_ >= options_.tokens) return {};
    ++document_;
    begin_ = next_begin_ = end_;
    end_ = std::min(options_.tokens, data_.document_begin(split_, document_ + 1));
  }
}

Batch DocumentWindows::next(int64_t batch_size) {
  Batch batch;
  batch.seq_len = options_.seq_len;
  while (batch.batch_size < batch_size && waiting_) append_row(batch);
  return batch;
}

void DocumentWindows::append_row(Batch& batch) {
  const auto row = static_cast<uint64_t>(batch.batch_size++);
  batch.inputs.resize((row + 1) * length_, 0);
  batch.targets.resize((row + 1) * length_, -1);
  batch.document_begins.resize((row + 1) * length_);
  // The last piece needs no token behind it.
  const uint64_t room = length_ + (options_.masked ? 0 : 1);
  uint64_t at = 0;
  for (; waiting_ && at + size_of(*waiting_) <= room; waiting_ = find_piece()) {
    at = write(*waiting_, at, batch, row);
  }
  const auto begins = std::span(batch.document_begins).subspan(row * length_);
  if (at < length_) {
    std::iota(begins.begin() + static_cast<std::ptrdiff_t>(at), begins.end(),
              static_cast<int32_t>(at));
  }
}

// Writes a piece at a position of the row and returns the position after it.
uint64_t DocumentWindows::write(const Piece& piece, uint64_t at, Batch& batch, uint64_t row) {
  buffer_.resize(piece.tokens);
  data_.read(split_, piece.begin, buffer_);
  const uint64_t targets = piece.tokens - 1;
  const uint64_t end = std::min(length_, at + size_of(piece));
  const auto inputs = std::span(batch.inputs).subspan(row * length_ + at, end - at);
  const auto expected = std::span(batch.targets).subspan(row * length_ + at, targets);
  std::copy_n(buffer_.begin(), inputs.size(), inputs.begin());
  std::copy_n(buffer_.begin() + 1, targets, expected.begin());
  if (data_.masked()) {
    const auto mask = std::span(buffer_).first(targets);
    data_.read_mask(split_, piece.begin + 1, mask);
    leave_out_uncounted(expected, mask);
  }
  std::fill_n(expected.begin(), piece.known, -1);
  const auto begins = std::span(batch.document_begins).subspan(row * length_ + at, end - at);
  std::ranges::fill(begins, static_cast<int32_t>(at));
  return at + size_of(piece);
}

}  // namespace mythos
