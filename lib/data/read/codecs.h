#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace mythos {

// Decompresses one format, piece by piece.
class Codec {
 public:
  virtual ~Codec() = default;
  // Takes bytes from the front of `in`, writes to the front of `out`, and cuts both down to what is
  // left. Throws std::runtime_error, saying what is wrong, on corrupt data.
  virtual void step(std::span<const char>& in, std::span<char>& out) = 0;
  // Whether the input may end here.
  virtual bool complete() const = 0;
};

struct CodecFormat {
  std::string_view name, suffix;           // "gzip", ".gz"
  bool (*begins)(std::string_view start);  // whether a stream begins with these bytes, 6 or more
  std::unique_ptr<Codec> (*make)();
};

// Zstandard, gzip and xz. Each reads any number of streams one after the other. Zstandard's may be
// skippable frames, and zero bytes may follow gzip's members, as tapes and block devices leave
// them.
std::span<const CodecFormat> codec_formats();

}  // namespace mythos
