#pragma once
#include <zstd.h>

#include <cstring>
#include <string>

#include "base/files.h"
#include "data/shards/shard_format.h"

// The bytes of a shard file to be changed by tests, with its checksums made right again so that the
// checks behind them are what fires.
namespace mythos {

class ShardBytes {
 public:
  explicit ShardBytes(std::string content) : content_(std::move(content)) {}

  const std::string& content() const { return content_; }
  size_t size() const { return content_.size(); }
  size_t trailer() const { return content_.size() - shard_format::kTrailerBytes; }
  size_t table() const { return number<uint64_t>(trailer() + 24); }
  size_t index() const { return number<uint64_t>(trailer() + 32); }

  template <class T>
  T number(size_t offset) const {
    return shard_format::get<T>(reinterpret_cast<const std::byte*>(content_.data()) + offset);
  }
  template <class T>
  void set(size_t offset, T value) {
    std::string bytes;
    shard_format::put(bytes, value);
    content_.replace(offset, bytes.size(), bytes);
  }

  // Puts another frame in place of one, and moves what is behind it.
  void replace_frame(size_t frame, const std::string& compressed) {
    const size_t entry = table() + frame * shard_format::kFrameEntryBytes;
    const auto old_size = number<uint32_t>(entry + 8);
    const size_t moved = compressed.size() - old_size, entries = number<uint64_t>(trailer() + 16);
    set(entry + 8, static_cast<uint32_t>(compressed.size()));
    for (size_t later = frame + 1; later < entries; ++later) {
      const size_t at = table() + later * shard_format::kFrameEntryBytes;
      set(at, number<uint64_t>(at) + moved);
    }
    for (const size_t field : {24, 32})
      set(trailer() + field, number<uint64_t>(trailer() + field) + moved);
    content_.replace(number<uint64_t>(entry), old_size, compressed);
  }

  // Computes every checksum anew that lies where the counts and offsets say.
  void seal() {
    using namespace shard_format;
    if (size() < kHeaderBytes + kTrailerBytes) return;
    set(24, sum(0, 24));
    const uint64_t begin = trailer(), first = table(), frames = number<uint64_t>(begin + 16);
    if (first <= begin) {
      for (uint64_t frame = 0; frame < std::min(frames, (begin - first) / kFrameEntryBytes);
           ++frame) {
        const uint64_t entry = first + frame * kFrameEntryBytes;
        const auto offset = number<uint64_t>(entry);
        const auto bytes = number<uint32_t>(entry + 8);
        if (offset <= size() && bytes <= size() - offset) set(entry + 16, sum(offset, bytes));
      }
      set(begin + 40, sum(first, begin - first));
    }
    set(begin + 48, sum(begin, 48));
  }

 private:
  uint64_t sum(size_t offset, size_t size_bytes) const {
    return checksum64(std::as_bytes(std::span(content_)).subspan(offset, size_bytes));
  }
  std::string content_;
};

// A zstd frame of the bytes that states their number, or does not.
inline std::string zstd_frame(const std::string& raw, bool states_size = true) {
  std::string out(ZSTD_compressBound(raw.size()), '\0');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, states_size);
  out.resize(ZSTD_compress2(context, out.data(), out.size(), raw.data(), raw.size()));
  ZSTD_freeCCtx(context);
  return out;
}

// The manifest's text with its own checksum made right again, where it has one.
inline std::string seal_manifest(std::string text) {
  constexpr std::string_view kKey = "\"manifest_checksum\": \"";
  const size_t key = text.rfind(kKey);
  if (key == std::string::npos || text.size() < key + kKey.size() + 16) return text;
  text.replace(key + kKey.size(), 16, 16, '0');
  return text.replace(key + kKey.size(), 16, checksum(text));
}

}  // namespace mythos
