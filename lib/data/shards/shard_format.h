#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

// The layout of a shard file, version 1: man/mythos-shards.5 is the specification. Do not change.
//
//   header (32 bytes) | frames | frame table | document index | trailer (64 bytes)
//
// All integers are little-endian.
namespace mythos::shard_format {

inline constexpr uint32_t kVersion = 1;
inline constexpr std::string_view kHeaderMagic{"MYTHSHRD", 8};
inline constexpr std::string_view kTrailerMagic{"MYTHSEND", 8};

inline constexpr size_t kHeaderBytes = 32;
inline constexpr size_t kFrameEntryBytes = 24;
inline constexpr size_t kDocumentEntryBytes = 8;
inline constexpr size_t kTrailerBytes = 64;
inline constexpr uint32_t kMaxTokensPerFrame = 1 << 24;

struct Header {
  uint32_t token_bytes = 0;  // 2 or 4
  uint32_t tokens_per_frame = 0;
};

struct FrameEntry {
  uint64_t offset = 0;  // offset of the compressed frame in the file
  uint32_t size = 0;    // compressed bytes
  uint32_t tokens = 0;
  uint64_t checksum = 0;  // of the compressed bytes
};

struct Trailer {
  uint64_t tokens = 0, documents = 0, frames = 0;
  uint64_t frame_table_offset = 0, document_index_offset = 0;
  uint64_t index_checksum = 0;  // checksum of the frame table and the document index
};

template <class T>
void put(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

// Appends ids as 2 or 4 bytes each; they must fit.
inline void put_ids(std::string& out, std::span<const uint32_t> ids, size_t token_bytes) {
  const auto append = [&]<class T>(T) {
    size_t at = out.size();
    out.resize(at + ids.size() * sizeof(T));
    for (const uint32_t id : ids) {
      for (size_t i = 0; i < sizeof(T); ++i) out[at++] = static_cast<char>(id >> (8 * i) & 0xFF);
    }
  };
  if (token_bytes == 2)
    append(uint16_t{});
  else
    append(uint32_t{});
}

template <class T>
T get(const std::byte* at) {
  T value = 0;
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(&value, at, sizeof(T));  // a load to compilers, which the loop below is not
    return value;
  }
  for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(static_cast<T>(at[i]) << (8 * i));
  return value;
}

}  // namespace mythos::shard_format
