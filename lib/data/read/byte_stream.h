#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace mythos {

// One input as a stream of its bytes, after decompression where it is compressed.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Fills from the front and returns how many bytes; 0 at the end, and at once after stop_signal().
  // Fails (data), naming file and byte offset, on what cannot be read or is corrupt.
  virtual size_t read(std::span<char> out) = 0;
  // Bytes of the input as stored that were consumed: what progress counts.
  virtual uint64_t stored_bytes() const = 0;
  // The first bytes of what read() gives, which it will still give; fewer than asked only when
  // there are no more. Only before the first read().
  virtual std::string_view peek(size_t size_bytes) = 0;
  // What the bytes are decompressed from, such as "gzip"; empty where they are given as stored.
  virtual std::string_view compression() const = 0;
};

// Opens a file, or standard input for "-". Zstandard (also with skippable frames), gzip (also of
// several members, as bgzip makes them) and xz are decompressed, told by the first bytes. Fails
// (data) where the name promises one of them (.zst, .gz, .xz) and the bytes are none.
std::unique_ptr<ByteStream> open_byte_stream(const std::string& path);

inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // of UTF-8

// The name of the compression that a path ends with in any letter case, such as "gzip", and the
// path without it; empty and the whole path when there is none.
struct CompressedName {
  std::string_view compression, path;
};
CompressedName split_compression(std::string_view path);

// "standard input" for "-".
std::string input_name(const std::string& path);

}  // namespace mythos
