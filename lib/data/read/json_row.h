#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// A place in a JSON value: the keys on the way to it, array indices as decimal numbers.
using JsonPath = std::vector<std::string>;

// The member `field`, or where it begins with '/' what the JSON pointer (RFC 6901) names. Fails
// (usage) naming `option` when a '~' is not followed by 0 or 1.
JsonPath parse_json_path(const std::string& field, const std::string& option);

// Finds values in one JSON text without building the others: several times as fast as a general
// parser, and it needs no memory that grows with the text. The whole text is held to RFC 8259, its
// grammar and UTF-8; containers may be nested 512 deep. Beyond it, NaN, Infinity and -Infinity are
// numbers, as Python writes them. Of members with one name the last counts.
class JsonRow {
 public:
  // At most 64 paths.
  explicit JsonRow(std::vector<JsonPath> paths);

  // False where `text` is not valid; fault() and fault_column() tell what is wrong.
  bool scan(std::string_view text);
  const char* fault() const { return fault_; }
  size_t fault_column() const { return fault_column_; }  // in bytes, from 1

  // The text of the value at a path, without white space around it; empty when there is none. Part
  // of what was scanned.
  std::string_view value(size_t path) const { return values_[path]; }
  // Whether an escape in the text is half of a surrogate pair without the other half.
  bool has_lone_surrogate() const { return has_lone_surrogate_; }
  // "object", "array", "string", "number", "boolean" or "null", of a value or a whole text.
  static const char* type_name(std::string_view value);
  // The characters of a string that was scanned, with its escapes resolved; a lone surrogate
  // becomes U+FFFD. Returns how many did.
  static size_t decode_string(std::string_view value, std::string& out);
  // A number that was scanned; infinite where it is beyond double, as Python reads it.
  static double decode_number(std::string_view value);
  // The names of the members of an object that was scanned, in their order; empty for other values.
  static std::vector<std::string> member_names(std::string_view text);

 private:
  std::vector<JsonPath> paths_;
  std::vector<std::string_view> values_;
  const char* fault_ = nullptr;
  size_t fault_column_ = 0;
  bool has_lone_surrogate_ = false;
};

}  // namespace mythos
