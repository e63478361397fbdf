#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// The path to a value inside a JSON value: keys, and array indices as decimal numbers.
using JsonPath = std::vector<std::string>;

// The path to the member `field` or, if that begins with '/', to what the JSON pointer (RFC 6901)
// names. Fails (usage), naming `option`, if a '~' is not followed by 0 or 1.
JsonPath parse_json_path(const std::string& field, const std::string& option);

// Finds values in a JSON text without building the others. It is several times as fast as a general
// parser, and its memory does not grow with the text. The whole text must conform to RFC 8259 and
// be UTF-8, with containers nested at most 512 deep; NaN, Infinity and -Infinity, as Python writes
// them, are also numbers. Of members with the same name the last counts.
class JsonRow {
 public:
  // `paths` are the paths to the values to find, at most 64.
  explicit JsonRow(std::vector<JsonPath> paths);

  // Returns false if `text` is not valid; fault() and fault_column() then tell what is wrong.
  bool scan(std::string_view text);
  const char* fault() const { return fault_; }
  size_t fault_column() const { return fault_column_; }  // in bytes, from 1

  // The text of the value at a path, without white space around it; empty if there is none. A view
  // into the scanned text.
  std::string_view value(size_t path) const { return values_[path]; }
  // Whether an escape in the scanned text is half of a surrogate pair without the other half.
  bool has_lone_surrogate() const { return has_lone_surrogate_; }
  // The type of a value or of a whole text: "object", "array", "string", "number", "boolean" or
  // "null".
  static const char* type_name(std::string_view value);
  // Sets `out` to the characters of a scanned string with its escapes resolved. Each lone surrogate
  // becomes U+FFFD; returns their number.
  static size_t decode_string(std::string_view value, std::string& out);
  // The value of a scanned number; infinite if it is beyond double, as Python reads it.
  static double decode_number(std::string_view value);
  // The names of the members of a scanned object, in their order; empty for other values.
  static std::vector<std::string> member_names(std::string_view text);

 private:
  std::vector<JsonPath> paths_;
  std::vector<std::string_view> values_;
  const char* fault_ = nullptr;
  size_t fault_column_ = 0;
  bool has_lone_surrogate_ = false;
};

}  // namespace mythos
