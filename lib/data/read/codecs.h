#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace mythos {

// Decompression of one format, a piece at a time.
class Codec {
 public:
  virtual ~Codec() = default;
  // Takes from the front of `in` and writes to the front of `out`, and cuts both down to what is
  // left. Throws std::runtime_error with what is wrong on corrupt data.
  virtual void step(std::span<const char>& in, std::span<char>& out) = 0;
  // Whether the input may end here.
  virtual bool complete() const = 0;
};

struct CodecFormat {
  std::string_view name, suffix;           // "gzip", ".gz"
  bool (*begins)(std::string_view start);  // whether a stream begins with these bytes, 6 or more
  std::unique_ptr<Codec> (*make)();
};

// Zstandard, gzip and xz; each reads any number of streams one after the other. Zstandard's may be
// skippable frames; behind gzip's members zero bytes may stand, as tapes and block devices leave
// them.
std::span<const CodecFormat> codec_formats();

}  // namespace mythos
