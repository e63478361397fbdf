#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace mythos {

// The number of a file's first bytes that foreign_format() looks at.
inline constexpr size_t kForeignBytes = 512;

// A format whose files cannot be read as text.
struct ForeignFormat {
  std::string what, advice;  // "a zip archive (...)", "Unpack it first: unzip FILE"
};

// Recognises a foreign format by a file's first bytes or, if they do not tell, by its name:
// archives, compressions that codecs.h does not read, UTF-16 and UTF-32, pointers to files that
// were not fetched, documents, pictures, weights, databases. Nothing for a file that may be text,
// JSON, CSV or Parquet. Only a text about such a format would begin with its bytes.
std::optional<ForeignFormat> foreign_format(std::string_view start, std::string_view path);

// Whether a text begins as an HTML page does.
bool begins_as_html(std::string_view start);

}  // namespace mythos
