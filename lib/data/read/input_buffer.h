#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "data/read/byte_stream.h"

namespace mythos {

// Buffers a stream for a reader that looks at as many bytes as it needs before it takes some.
class InputBuffer {
 public:
  explicit InputBuffer(std::unique_ptr<ByteStream> stream) : stream_(std::move(stream)) {}

  // The bytes that were read and not yet taken; they stay where they lie until more().
  std::string_view unread() const { return std::string_view(buffer_).substr(begin_); }
  void take(size_t size_bytes) { begin_ += size_bytes; }

  // Appends to unread(). Returns false at the end. Throws Stopped as ByteStream::read() does.
  bool more() {
    if (ended_) return false;
    buffer_.erase(0, begin_);
    begin_ = 0;
    const size_t size = buffer_.size();
    buffer_.resize(size + kChunkBytes);
    const size_t got = stream_->read({buffer_.data() + size, kChunkBytes});
    buffer_.resize(size + got);
    ended_ = got == 0;
    return !ended_;
  }
  // Takes bytes and returns the number of line ends among them.
  uint64_t take_lines(size_t size_bytes) {
    const std::string_view taken = unread().substr(0, size_bytes);
    take(size_bytes);
    return static_cast<uint64_t>(std::count(taken.begin(), taken.end(), '\n'));
  }
  // Takes the byte order mark, if the stream begins with one.
  void take_byte_order_mark() {
    while (unread().size() < kByteOrderMark.size() && more()) {
    }
    if (unread().starts_with(kByteOrderMark)) take(kByteOrderMark.size());
  }
  uint64_t stored_bytes() const { return stream_->stored_bytes(); }

 private:
  static constexpr size_t kChunkBytes = 1 << 20;

  std::unique_ptr<ByteStream> stream_;
  std::string buffer_;
  size_t begin_ = 0;
  bool ended_ = false;
};

}  // namespace mythos
