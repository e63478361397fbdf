#include "data/read/sources.h"

#include "base/error.h"
#include "base/log.h"
#include "data/read/splitter.h"

namespace mythos {
namespace {

class TextSource : public DocumentSource {
 public:
  TextSource(std::unique_ptr<ByteStream> stream, std::string separator)
      : whole_(separator.empty()), parts_(std::move(stream), std::move(separator)) {}

  bool next(std::string& document) override {
    std::string_view part;
    if (!next_part(part)) return false;
    document = part;
    return true;
  }
  uint64_t skip(uint64_t documents) override {
    uint64_t skipped = 0;
    for (std::string_view part; skipped < documents && next_part(part);) ++skipped;
    return skipped;
  }
  uint64_t stored_bytes() const override { return parts_.stored_bytes(); }
  bool lacks_separator() const override { return !whole_ && has_text_ && !was_separated_; }

 private:
  bool next_part(std::string_view& part) {
    bool terminated = false;
    if (!parts_.next(part, terminated)) return false;
    was_separated_ |= terminated;
    has_text_ |= !part.empty();
    return whole_ || terminated || !part.empty();
  }

  bool whole_, has_text_ = false, was_separated_ = false;
  Splitter parts_;
};

// Reads a text of any size in pieces that fit into memory.
class TextPieces : public DocumentSource {
 public:
  TextPieces(std::unique_ptr<ByteStream> stream, size_t piece_bytes)
      : stream_(std::move(stream)), piece_bytes_(piece_bytes) {}

  bool next(std::string& piece) override {
    fill();
    const bool last = buffer_.size() < piece_bytes_;
    const size_t line = last ? std::string::npos : buffer_.rfind('\n');
    const size_t size = line == std::string::npos ? whole_characters(last) : line + 1;
    piece.assign(buffer_, 0, size);
    buffer_.erase(0, size);
    return size > 0;
  }
  uint64_t stored_bytes() const override { return stream_->stored_bytes(); }

 private:
  void fill() {
    size_t size = buffer_.size();
    buffer_.resize(piece_bytes_);
    while (size < piece_bytes_) {
      const size_t got = stream_->read({buffer_.data() + size, piece_bytes_ - size});
      if (got == 0) break;
      size += got;
    }
    buffer_.resize(size);
  }
  // The size of the buffer without a character at its end of which the rest has not been read.
  size_t whole_characters(bool last) const {
    for (size_t back = 1; !last && back <= 3 && back < buffer_.size(); ++back) {
      const size_t at = buffer_.size() - back;
      if ((static_cast<unsigned char>(buffer_[at]) & 0xC0) == 0x80) continue;
      return static_cast<unsigned char>(buffer_[at]) >= 0xC0 ? at : buffer_.size();
    }
    return buffer_.size();
  }

  std::unique_ptr<ByteStream> stream_;
  size_t piece_bytes_;
  std::string buffer_;
};

}  // namespace

const std::vector<TextPart>& DocumentSource::parts() const {
  static const std::vector<TextPart> none;
  return none;
}

uint64_t DocumentSource::skip(uint64_t documents) {
  uint64_t skipped = 0;
  for (std::string document; skipped < documents && next(document);) ++skipped;
  return skipped;
}

void RowLog::malformed(const std::function<std::string()>& message) {
  if (strict_) fail(ErrorKind::data, message(), "Without --strict such rows are skipped.");
  if (counts_.bad_rows++ == 0) {
    log_warning(message() + " (row skipped; further ones are only counted)");
  }
}

std::unique_ptr<DocumentSource> open_text(std::unique_ptr<ByteStream> stream,
                                          const ReaderOptions& options) {
  if (options.separator.empty() && options.text_piece_bytes > 0) {
    return std::make_unique<TextPieces>(std::move(stream), options.text_piece_bytes);
  }
  return std::make_unique<TextSource>(std::move(stream), options.separator);
}

}  // namespace mythos
