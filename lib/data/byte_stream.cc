#include "data/byte_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/signals.h"
#include "base/strings.h"

namespace mythos {
namespace {

constexpr std::string_view kZstdMagic = "\x28\xB5\x2F\xFD";

struct RefusedFormat {
  std::string_view suffix, magic, name, advice;
};
constexpr RefusedFormat kRefused[] = {
    {".parquet", "PAR1", "Parquet", "Convert it to JSONL."},
    {".gz", "\x1f\x8b\x08", "gzip", "Pipe it in: gzip -dc FILE | ... -"},
    {".xz",
     {"\xfd"
      "7zXZ\0",
      6},
     "xz",
     "Pipe it in: xz -dc FILE | ... -"},
    {".bz2", "BZh", "bzip2", "Pipe it in: bzip2 -dc FILE | ... -"},
};

[[noreturn]] void refuse(const RefusedFormat& format, const std::string& path) {
  fail(ErrorKind::data,
       strprintf("%s: %.*s files are not supported by this version. %.*s", input_name(path).c_str(),
                 static_cast<int>(format.name.size()), format.name.data(),
                 static_cast<int>(format.advice.size()), format.advice.data()));
}

class RawStream : public ByteStream {
 public:
  explicit RawStream(const std::string& path) : name_(input_name(path)) {
    owned_ = path != "-";
    fd_ = owned_ ? open(path.c_str(), O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
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

  // The first bytes, which read() will give again. Shorter than asked only when the input is.
  std::string_view peek(size_t size) {
    std::string chunk(size, '\0');
    while (peeked_.size() < size) {
      const size_t got = read_file_bytes({chunk.data(), size - peeked_.size()});
      if (got == 0) break;
      peeked_.append(chunk, 0, got);
    }
    return peeked_;
  }

  size_t read(std::span<char> out) override {
    if (peeked_.empty()) {
      const size_t got = read_file_bytes(out);
      stored_bytes_ += got;
      return got;
    }
    const size_t size = std::min(out.size(), peeked_.size());
    std::memcpy(out.data(), peeked_.data(), size);
    peeked_.erase(0, size);
    stored_bytes_ += size;
    return size;
  }
  uint64_t stored_bytes() const override { return stored_bytes_; }
  const std::string& name() const { return name_; }

 private:
  [[noreturn]] void fail_read(const char* action) const {
    fail(ErrorKind::data, strprintf("%s %s: %s", action, name_.c_str(), std::strerror(errno)));
  }

  // False once a stop signal came, also while nothing arrives.
  bool wait_for_input() const {
    constexpr int kCheckMilliseconds = 200;
    pollfd input = {fd_, POLLIN, 0};
    while (!stop_signal()) {
      if (!may_block_ || poll(&input, 1, kCheckMilliseconds) > 0) return true;
    }
    return false;
  }

  size_t read_file_bytes(std::span<char> out) const {
    while (wait_for_input()) {
      const ssize_t got = ::read(fd_, out.data(), out.size());
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) fail_read("cannot read");
    }
    return 0;
  }

  std::string name_;
  int fd_ = -1;
  bool owned_ = false, may_block_ = false;
  uint64_t stored_bytes_ = 0;
  std::string peeked_;
};

class ZstdStream : public ByteStream {
 public:
  explicit ZstdStream(std::unique_ptr<RawStream> raw)
      : raw_(std::move(raw)), context_(ZSTD_createDCtx()), buffer_(ZSTD_DStreamInSize()) {
    // Data sets compressed with --long=31 are common.
    ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, 31);
  }
  ~ZstdStream() override { ZSTD_freeDCtx(context_); }
  ZstdStream(const ZstdStream&) = delete;
  ZstdStream& operator=(const ZstdStream&) = delete;

  size_t read(std::span<char> out) override {
    ZSTD_outBuffer to = {out.data(), out.size(), 0};
    while (to.pos == 0 && to.size > 0) {
      // The library keeps the last byte of a frame unread until all of its output has been taken.
      if (in_.pos == in_.size) {
        in_ = {buffer_.data(), raw_->read(buffer_), 0};
        if (in_.size == 0 && frame_open_ && !stop_signal()) {
          fail_at("the Zstandard stream is cut off in the middle of a frame");
        }
        if (in_.size == 0) return 0;
      }
      const size_t status = ZSTD_decompressStream(context_, &to, &in_);
      if (ZSTD_isError(status)) {
        fail_at(strprintf("corrupt Zstandard data (%s)", ZSTD_getErrorName(status)));
      }
      frame_open_ = status != 0;
    }
    return to.pos;
  }
  uint64_t stored_bytes() const override { return raw_->stored_bytes() - (in_.size - in_.pos); }

 private:
  [[noreturn]] void fail_at(const std::string& what) const {
    fail(ErrorKind::data, strprintf("%s: byte %llu: %s", raw_->name().c_str(),
                                    static_cast<unsigned long long>(stored_bytes()), what.c_str()));
  }

  std::unique_ptr<RawStream> raw_;
  ZSTD_DCtx* context_;
  std::vector<char> buffer_;
  ZSTD_inBuffer in_ = {nullptr, 0, 0};
  bool frame_open_ = false;
};

}  // namespace

std::string input_name(const std::string& path) {
  return path == "-" ? "standard input" : path;
}

std::unique_ptr<ByteStream> open_byte_stream(const std::string& path, bool refuse_by_content) {
  for (const RefusedFormat& format : kRefused) {
    if (path.ends_with(format.suffix)) refuse(format, path);
  }
  auto raw = std::make_unique<RawStream>(path);
  const std::string_view start = raw->peek(8);
  const bool zstd = start.starts_with(kZstdMagic);
  if (path.ends_with(".zst") && !zstd) {
    fail(ErrorKind::data, path + ": byte 0: named .zst, but does not begin with a Zstandard frame");
  }
  if (zstd) return std::make_unique<ZstdStream>(std::move(raw));
  for (const RefusedFormat& format : kRefused) {
    if (refuse_by_content && start.starts_with(format.magic)) refuse(format, path);
  }
  return raw;
}

}  // namespace mythos
