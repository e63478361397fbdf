#pragma once
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "data/read/input_buffer.h"

namespace mythos {

// Cuts a stream at a separator; an empty separator cuts nowhere.
class Splitter {
 public:
  Splitter(std::unique_ptr<ByteStream> stream, std::string separator)
      : buffer_(std::move(stream)), separator_(std::move(separator)) {}

  // Sets `part` to the next part without its separator, a view that is valid until the next call,
  // and `terminated` to whether a separator followed. Returns false at the end.
  bool next(std::string_view& part, bool& terminated) {
    size_t searched = 0;
    do {
      part = buffer_.unread();
      const size_t at =
          separator_.empty() ? std::string_view::npos : part.find(separator_, searched);
      if (at != std::string_view::npos) {
        part = part.substr(0, at);
        buffer_.take(at + separator_.size());
        terminated = true;
        return true;
      }
      searched = part.size() - std::min(part.size(), separator_.size());
    } while (buffer_.more());
    part = buffer_.unread();
    buffer_.take(part.size());
    terminated = false;
    return !std::exchange(ended_, true);
  }
  uint64_t stored_bytes() const { return buffer_.stored_bytes(); }

 private:
  InputBuffer buffer_;
  std::string separator_;
  bool ended_ = false;
};

}  // namespace mythos
