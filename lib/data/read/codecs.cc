#include "data/read/codecs.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>
#include <new>
#include <stdexcept>

namespace mythos {
namespace {

class ZstdCodec : public Codec {
 public:
  ZstdCodec() : context_(ZSTD_createDCtx()) {
    if (!context_) throw std::bad_alloc();
    // The largest window, as data sets compressed with --long=31 are common.
    ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, 31);
  }
  ~ZstdCodec() override { ZSTD_freeDCtx(context_); }
  ZstdCodec(const ZstdCodec&) = delete;
  ZstdCodec& operator=(const ZstdCodec&) = delete;

  void step(std::span<const char>& in, std::span<char>& out) override {
    ZSTD_inBuffer from = {in.data(), in.size(), 0};
    ZSTD_outBuffer to = {out.data(), out.size(), 0};
    const size_t status = ZSTD_decompressStream(context_, &to, &from);
    in = in.subspan(from.pos);
    out = out.subspan(to.pos);
    if (ZSTD_isError(status)) throw std::runtime_error(ZSTD_getErrorName(status));
    complete_ = status == 0;
  }
  bool complete() const override { return complete_; }

 private:
  ZSTD_DCtx* context_;
  bool complete_ = false;
};

// The most bytes that zlib, which counts in 32 bits, takes at a time.
constexpr size_t kMostBytes = std::numeric_limits<uInt>::max();

class GzipCodec : public Codec {
 public:
  GzipCodec() {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~GzipCodec() override { inflateEnd(&stream_); }
  GzipCodec(const GzipCodec&) = delete;
  GzipCodec& operator=(const GzipCodec&) = delete;

  void step(std::span<const char>& in, std::span<char>& out) override {
    while (complete_ && !in.empty() && in.front() == '\0') in = in.subspan(1);  // padding
    if (complete_ && in.empty()) return;
    if (complete_) inflateReset(&stream_);  // the next member
    const size_t in_size = std::min(in.size(), kMostBytes);
    const size_t out_size = std::min(out.size(), kMostBytes);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in_size);
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out_size);
    const int status = inflate(&stream_, Z_NO_FLUSH);
    in = in.subspan(in_size - stream_.avail_in);
    out = out.subspan(out_size - stream_.avail_out);
    complete_ = status == Z_STREAM_END;
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status == Z_NEED_DICT) throw std::runtime_error("it needs a dictionary");
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
      throw std::runtime_error(stream_.msg ? stream_.msg : "data error");
    }
  }
  bool complete() const override { return complete_; }

 private:
  z_stream stream_ = {};
  bool complete_ = false;
};

class XzCodec : public Codec {
 public:
  XzCodec() {
    if (lzma_stream_decoder(&stream_, UINT64_MAX, 0) != LZMA_OK) throw std::bad_alloc();
  }
  ~XzCodec() override { lzma_end(&stream_); }
  XzCodec(const XzCodec&) = delete;
  XzCodec& operator=(const XzCodec&) = delete;

  void step(std::span<const char>& in, std::span<char>& out) override {
    // Zero bytes may stand between xz's streams, in multiples of four.
    while (complete_ && !in.empty() && in.front() == '\0') {
      ++padding_bytes_;
      in = in.subspan(1);
    }
    if (complete_ && in.empty()) return;
    if (complete_) {
      if (padding_bytes_ % 4 != 0) throw std::runtime_error("stream padding of a wrong size");
      if (lzma_stream_decoder(&stream_, UINT64_MAX, 0) != LZMA_OK) throw std::bad_alloc();
      complete_ = false;
    }
    stream_.next_in = reinterpret_cast<const uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<uint8_t*>(out.data());
    stream_.avail_out = out.size();
    const lzma_ret status = lzma_code(&stream_, LZMA_RUN);
    in = in.subspan(in.size() - stream_.avail_in);
    out = out.subspan(out.size() - stream_.avail_out);
    complete_ = status == LZMA_STREAM_END;
    padding_bytes_ = 0;
    check(status);
  }
  bool complete() const override { return complete_ && padding_bytes_ % 4 == 0; }

 private:
  static void check(lzma_ret status) {
    switch (status) {
      case LZMA_OK:
      case LZMA_STREAM_END:
      case LZMA_BUF_ERROR:
        return;
      case LZMA_MEM_ERROR:
        throw std::bad_alloc();
      case LZMA_FORMAT_ERROR:
        throw std::runtime_error("no xz stream begins here");
      case LZMA_OPTIONS_ERROR:
        throw std::runtime_error("unknown options in a header");
      default:
        throw std::runtime_error("data error");
    }
  }

  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool complete_ = false;
  size_t padding_bytes_ = 0;
};

template <class T>
std::unique_ptr<Codec> make() {
  return std::make_unique<T>();
}

// Whether a Zstandard frame begins here, or a skippable frame (16 magic numbers), with which pzstd
// and others begin.
bool begins_zstd(std::string_view start) {
  return start.starts_with("\x28\xB5\x2F\xFD") || (start.size() >= 4 && (start[0] & 0xF0) == 0x50 &&
                                                   start.substr(1).starts_with("\x2A\x4D\x18"));
}
bool begins_gzip(std::string_view start) {
  return start.starts_with("\x1F\x8B\x08");
}
bool begins_xz(std::string_view start) {
  return start.starts_with(std::string_view("\xFD\x37\x7A\x58\x5A\x00", 6));
}

constexpr CodecFormat kFormats[] = {
    {"Zstandard", ".zst", begins_zstd, make<ZstdCodec>},
    {"gzip", ".gz", begins_gzip, make<GzipCodec>},
    {"xz", ".xz", begins_xz, make<XzCodec>},
};

}  // namespace

std::span<const CodecFormat> codec_formats() {
  return kFormats;
}

}  // namespace mythos
