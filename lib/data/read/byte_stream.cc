#include "data/read/byte_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "data/read/codecs.h"
#include "data/read/foreign_format.h"

namespace mythos {
namespace {

constexpr size_t kMagicBytes = 6;  // the bytes by which codecs are recognised

// A stream whose beginning can be looked at before it is read.
class PeekableStream : public ByteStream {
 public:
  std::string_view peek(size_t size_bytes) final {
    std::string chunk(size_bytes, '\0');
    while (peeked_.size() < size_bytes) {
      const size_t got = read_on({chunk.data(), size_bytes - peeked_.size()});
      if (got == 0) break;
      peeked_.append(chunk, 0, got);
    }
    return peeked_;
  }
  size_t read(std::span<char> out) final {
    if (peeked_.empty()) return read_on(out);
    const size_t size = std::min(out.size(), peeked_.size());
    std::memcpy(out.data(), peeked_.data(), size);
    peeked_.erase(0, size);
    return size;
  }

 protected:
  virtual size_t read_on(std::span<char> out) = 0;
  size_t peeked_bytes() const { return peeked_.size(); }

 private:
  std::string peeked_;
};

class RawStream : public PeekableStream {
 public:
  RawStream(const std::string& path, StopToken stop) : name_(input_name(path)), stop_(stop) {
    owned_ = path != "-";
    do {  // open() of a named pipe waits for its writer
      fd_ = owned_ ? open(path.c_str(), O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
      if (fd_ < 0 && errno == EINTR) stop_.throw_if_stopped();
    } while (fd_ < 0 && errno == EINTR);
    if (fd_ < 0) fail_read("cannot open");
    struct stat status = {};
    if (fstat(fd_, &status) != 0) fail_read("cannot read");
    if (S_ISDIR(status.st_mode)) {
      fail(ErrorKind::data, name_ + " is a directory; name the files in it");
    }
    may_block_ = !S_ISREG(status.st_mode);
  }
  ~RawStream() override {
    if (owned_ && fd_ >= 0) close(fd_);
  }
  RawStream(const RawStream&) = delete;
  RawStream& operator=(const RawStream&) = delete;

  uint64_t stored_bytes() const override { return read_bytes_ - peeked_bytes(); }
  std::string_view compression() const override { return {}; }
  const std::string& name() const { return name_; }

 private:
  [[noreturn]] void fail_read(const char* action) const {
    fail(ErrorKind::data, strprintf("%s %s: %s", action, name_, std::strerror(errno)));
  }

  size_t read_on(std::span<char> out) override {
    while (true) {
      if (may_block_) wait_for_input(fd_, stop_);
      stop_.throw_if_stopped();
      const ssize_t got = ::read(fd_, out.data(), out.size());
      if (got >= 0) {
        read_bytes_ += static_cast<uint64_t>(got);
        return static_cast<size_t>(got);
      }
      if (errno != EINTR) fail_read("cannot read");
    }
  }

  std::string name_;
  StopToken stop_;
  int fd_ = -1;
  bool owned_ = false, may_block_ = false;
  uint64_t read_bytes_ = 0;
};

class DecompressedStream : public PeekableStream {
 public:
  DecompressedStream(std::unique_ptr<RawStream> raw, const CodecFormat& format)
      : raw_(std::move(raw)), format_(format), codec_(format.make()), buffer_(1 << 17) {}

  uint64_t stored_bytes() const override { return raw_->stored_bytes() - in_.size(); }
  std::string_view compression() const override { return format_.name; }

 private:
  size_t read_on(std::span<char> out) override {
    std::span<char> to = out;
    while (to.size() == out.size() && !out.empty()) {
      // Reads on only when the codec has taken everything: no codec takes a stream's last bytes
      // before it has given out all of its output.
      if (in_.empty()) in_ = {buffer_.data(), raw_->read(buffer_)};
      if (in_.empty() && !codec_->complete()) {
        fail_at(strprintf("the %s data are cut off", format_.name));
      }
      if (in_.empty()) return 0;
      step(to);
    }
    return out.size() - to.size();
  }

  void step(std::span<char>& to) {
    try {
      codec_->step(in_, to);
    } catch (const std::runtime_error& error) {
      fail_at(strprintf("corrupt %s data (%s)", format_.name, error.what()));
    }
  }

  [[noreturn]] void fail_at(const std::string& what) const {
    fail(ErrorKind::data, strprintf("%s: byte %u: %s", raw_->name(), stored_bytes(), what));
  }

  std::unique_ptr<RawStream> raw_;
  const CodecFormat& format_;
  std::unique_ptr<Codec> codec_;
  std::vector<char> buffer_;
  std::span<const char> in_;  // the part of buffer_ that the codec has not taken
};

}  // namespace

std::string input_name(const std::string& path) {
  return path == "-" ? "standard input" : path;
}

CompressedName split_compression(std::string_view path) {
  const std::string name = lower_ascii(path);
  for (const CodecFormat& format : codec_formats()) {
    if (name.ends_with(format.suffix)) {
      return {format.name, path.substr(0, path.size() - format.suffix.size())};
    }
  }
  return {"", path};
}

std::unique_ptr<ByteStream> open_byte_stream(const std::string& path, StopToken stop) {
  auto raw = std::make_unique<RawStream>(path, stop);
  const std::string_view start = raw->peek(kMagicBytes);
  for (const CodecFormat& format : codec_formats()) {
    if (format.begins(start)) return std::make_unique<DecompressedStream>(std::move(raw), format);
  }
  const std::string_view promised = split_compression(path).compression;
  if (!promised.empty()) {
    const auto foreign = foreign_format(raw->peek(kForeignBytes), "");
    fail(ErrorKind::data,
         strprintf("%s: byte 0: by its name this is %s, but it does not begin so. %s.", path,
                   promised,
                   start.empty() ? "The file is empty"
                   : foreign     ? ("It is " + foreign->what + ": " + foreign->advice)
                                 : "Give it a name without the ending if it is not compressed"));
  }
  return raw;
}

}  // namespace mythos
