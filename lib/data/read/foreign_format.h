#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace mythos {

// How many of a file's first bytes foreign_format() looks at.
inline constexpr size_t kForeignBytes = 512;

// A format of files that hold no text as it stands.
struct ForeignFormat {
  std::string what, advice;  // "a zip archive (...)", "Unpack it first: unzip FILE"
};

// What a file is, by its first bytes or, where those do not tell, by its name: archives and
// compressions without a reader here, UTF-16 and UTF-32, pointers to files that were not fetched,
// documents, pictures, weights, databases. Nothing for what may be text, JSON, CSV or Parquet. No
// text begins with any of these bytes but a text about them.
std::optional<ForeignFormat> foreign_format(std::string_view start, std::string_view path);

// Whether a text begins as an HTML page does.
bool begins_as_html(std::string_view start);

}  // namespace mythos
