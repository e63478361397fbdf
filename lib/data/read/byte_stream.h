#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/stop.h"

namespace mythos {

// An input as a stream of its bytes, decompressed if it is compressed.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Fills `out` from the front and returns the number of bytes; 0 at the end. Throws Stopped once a
  // stop is requested, also while nothing arrives. Fails (data), naming file and byte offset, if
  // the input cannot be read or is corrupt.
  virtual size_t read(std::span<char> out) = 0;
  // The number of stored bytes of the input that were consumed, for progress.
  virtual uint64_t stored_bytes() const = 0;
  // The first bytes of the stream, which read() gives again; fewer than asked for only if there are
  // no more. Must be called before the first read().
  virtual std::string_view peek(size_t size_bytes) = 0;
  // The compression of the input, such as "gzip"; empty if it has none.
  virtual std::string_view compression() const = 0;
};

// Opens a file, or standard input for "-". Zstandard (also with skippable frames), gzip (also of
// several members, as bgzip makes them) and xz are recognised by their first bytes and
// decompressed. Fails (data) if the name promises one of them (.zst, .gz, .xz) and the bytes are
// none of it. Throws Stopped as read() does.
std::unique_ptr<ByteStream> open_byte_stream(const std::string& path, StopToken stop = {});

inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // UTF-8's

// The compression that a path's ending names in any letter case, such as "gzip", and the path
// without that ending; empty and the whole path if there is no such ending.
struct CompressedName {
  std::string_view compression, path;
};
CompressedName split_compression(std::string_view path);

// The name of an input for messages: "standard input" for "-".
std::string input_name(const std::string& path);

}  // namespace mythos
