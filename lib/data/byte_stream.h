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
};

// Opens a file, or standard input for "-". Zstandard is decompressed: told by the name (.zst) or by
// the first bytes. Other compressed or columnar formats are refused by name (.gz, .xz, .bz2,
// .parquet), and by their first bytes when `refuse_by_content`.
std::unique_ptr<ByteStream> open_byte_stream(const std::string& path, bool refuse_by_content);

// "standard input" for "-".
std::string input_name(const std::string& path);

}  // namespace mythos
