#include "data/read/json_row.h"

#include <bit>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/strings.h"
#include "base/utf8.h"

namespace mythos {
namespace {

constexpr size_t kMaxDepth = 512;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// The value of four hexadecimal digits, or -1.
int32_t hex4(std::string_view text) {
  if (text.size() < 4) return -1;
  int32_t value = 0;
  for (const char c : text.substr(0, 4)) {
    const int digit = is_digit(c)              ? c - '0'
                      : (c >= 'a' && c <= 'f') ? c - 'a' + 10
                      : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                               : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

bool is_high_surrogate(int32_t unit) {
  return unit >= 0xD800 && unit < 0xDC00;
}
bool is_low_surrogate(int32_t unit) {
  return unit >= 0xDC00 && unit < 0xE000;
}

// Whether the second half of a surrogate pair begins here.
bool pairs(std::string_view text) {
  return text.starts_with("\\u") && is_low_surrogate(hex4(text.substr(2)));
}

// Whether each of 8 bytes is plain: ASCII, but no quote, backslash or control character. May say no
// for plain bytes, never yes for others.
bool plain8(const char* bytes) {
  constexpr uint64_t kOnes = 0x0101010101010101, kHigh = 0x8080808080808080;
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  const uint64_t quote = word ^ (kOnes * '"'), backslash = word ^ (kOnes * '\\');
  const uint64_t below_space = word - kOnes * 0x20;
  return ((word | below_space | (quote - kOnes) | (backslash - kOnes)) & kHigh) == 0;
}

// Scans a text in one pass. A mask is a set of paths: those whose first `depth` keys lead to the
// value at hand.
class Scanner {
 public:
  // If `names` is given, the names of the outermost object's members are appended to it.
  Scanner(std::string_view text, const std::vector<JsonPath>& paths,
          std::vector<std::string_view>& values, std::vector<std::string>* names = nullptr)
      : text_(text), paths_(paths), values_(values), names_(names) {}

  bool run(uint64_t all) {
    if (!value(0, all)) return false;
    skip_space();
    return at_ == text_.size() || wrong("text after the value");
  }
  const char* fault() const { return fault_; }
  size_t position() const { return at_; }
  bool has_lone_surrogate() const { return has_lone_surrogate_; }

 private:
  bool wrong(const char* what) {
    fault_ = what;
    return false;
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
  }

  bool value(size_t depth, uint64_t mask) {
    skip_space();
    switch (peek()) {
      case '{':
        return depth < kMaxDepth ? object(depth, mask) : wrong("nested too deeply");
      case '[':
        return depth < kMaxDepth ? array(depth, mask) : wrong("nested too deeply");
      case '"':
        return string();
      case 't':
        return literal("true");
      case 'f':
        return literal("false");
      case 'n':
        return literal("null");
      default:
        return number();
    }
  }

  bool object(size_t depth, uint64_t mask) {
    ++at_;
    skip_space();
    if (take('}')) return true;
    while (true) {
      skip_space();
      const size_t begin = at_;
      if (peek() != '"') return wrong("expected a member's name in quotes");
      if (!string()) return false;
      uint64_t inner = 0;
      if (mask != 0) {
        inner = matching(depth, mask, decode_key(text_.substr(begin, at_ - begin)));
      }
      if (names_ && depth == 0) names_->push_back(decode_key(text_.substr(begin, at_ - begin)));
      skip_space();
      if (!take(':')) return wrong("expected ':'");
      if (!member(depth + 1, inner)) return false;
      if (take('}')) return true;
      if (!take(',')) return wrong("expected ',' or '}'");
    }
  }

  bool array(size_t depth, uint64_t mask) {
    ++at_;
    skip_space();
    if (take(']')) return true;
    for (size_t index = 0;; ++index) {
      const uint64_t inner = mask == 0 ? 0 : matching(depth, mask, std::to_string(index));
      if (!member(depth + 1, inner)) return false;
      if (take(']')) return true;
      if (!take(',')) return wrong("expected ',' or ']'");
    }
  }

  // Scans a value in a container and stores it for the paths that end at it.
  bool member(size_t depth, uint64_t mask) {
    for (uint64_t left = mask; left != 0; left &= left - 1) values_[std::countr_zero(left)] = {};
    skip_space();
    const size_t begin = at_;
    if (!value(depth, mask)) return false;
    for (uint64_t left = mask; left != 0; left &= left - 1) {
      const int path = std::countr_zero(left);
      if (paths_[path].size() == depth) values_[path] = text_.substr(begin, at_ - begin);
    }
    skip_space();
    return true;
  }

  uint64_t matching(size_t depth, uint64_t mask, std::string_view key) const {
    uint64_t found = 0;
    for (uint64_t left = mask; left != 0; left &= left - 1) {
      const int path = std::countr_zero(left);
      if (depth < paths_[path].size() && paths_[path][depth] == key) found |= uint64_t{1} << path;
    }
    return found;
  }

  const std::string& decode_key(std::string_view quoted) {
    JsonRow::decode_string(quoted, key_);
    return key_;
  }

  bool string() {
    ++at_;
    while (true) {
      while (at_ + 8 <= text_.size() && plain8(text_.data() + at_)) at_ += 8;
      if (at_ >= text_.size()) return wrong("the string does not end");
      const auto byte = static_cast<unsigned char>(text_[at_]);
      if (byte == '"') {
        ++at_;
        return true;
      }
      if (byte == '\\') {
        if (!escape()) return false;
      } else if (byte < 0x20) {
        return wrong("a control character in a string");
      } else if (byte < 0x80) {
        ++at_;
      } else {
        const int length = utf8_sequence(text_.substr(at_, 4));
        if (length <= 0) return wrong("invalid UTF-8");
        at_ += static_cast<size_t>(length);
      }
    }
  }

  bool escape() {
    const char kind = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (kind != 'u') {
      if (kind == '\0' || !std::strchr("\"\\/bfnrt", kind)) return wrong("an unknown escape");
      at_ += 2;
      return true;
    }
    const int32_t unit = hex4(text_.substr(at_ + 2));
    if (unit < 0) return wrong("expected four hexadecimal digits after \\u");
    at_ += 6;
    if (is_high_surrogate(unit) && pairs(text_.substr(at_))) {
      at_ += 6;
    } else if (is_high_surrogate(unit) || is_low_surrogate(unit)) {
      has_lone_surrogate_ = true;
    }
    return true;
  }

  bool digits() {
    if (!is_digit(peek())) return wrong("expected a digit");
    while (is_digit(peek())) ++at_;
    return true;
  }

  bool number() {
    const size_t begin = at_;
    take('-');
    if (!is_digit(peek())) {
      const bool negative = at_ > begin;
      if (peek() == 'I') return literal("Infinity");
      if (peek() == 'N' && !negative) return literal("NaN");
      at_ = begin;
      return wrong("expected a value");
    }
    if (!take('0')) digits();
    if (take('.') && !digits()) return false;
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      return digits();
    }
    return true;
  }

  bool literal(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return wrong("expected a value");
    at_ += word.size();
    return true;
  }

  std::string_view text_;
  const std::vector<JsonPath>& paths_;
  std::vector<std::string_view>& values_;
  std::vector<std::string>* names_;
  size_t at_ = 0;
  std::string key_;
  const char* fault_ = nullptr;
  bool has_lone_surrogate_ = false;
};

}  // namespace

JsonPath parse_json_path(const std::string& field, const std::string& option) {
  if (!field.starts_with("/")) return {field};
  JsonPath path;
  for (const std::string& part : split(field.substr(1), '/')) {
    std::string key;
    for (size_t i = 0; i < part.size(); ++i) {
      if (part[i] != '~') {
        key += part[i];
        continue;
      }
      const char kind = ++i < part.size() ? part[i] : '\0';
      if (kind != '0' && kind != '1') {
        fail(ErrorKind::usage,
             option + " '" + field + "': in a JSON pointer ~ is written ~0 and a / in a name ~1");
      }
      key += kind == '0' ? '~' : '/';
    }
    path.push_back(std::move(key));
  }
  return path;
}

JsonRow::JsonRow(std::vector<JsonPath> paths) : paths_(std::move(paths)), values_(paths_.size()) {}

bool JsonRow::scan(std::string_view text) {
  std::fill(values_.begin(), values_.end(), std::string_view());
  Scanner scanner(text, paths_, values_);
  const bool valid =
      scanner.run(paths_.size() < 64 ? (uint64_t{1} << paths_.size()) - 1 : ~uint64_t{0});
  has_lone_surrogate_ = scanner.has_lone_surrogate();
  if (valid) return true;
  fault_ = scanner.fault();
  fault_column_ = scanner.position() + 1;
  return false;
}

const char* JsonRow::type_name(std::string_view value) {
  const std::string_view trimmed = trim(value);
  switch (trimmed.empty() ? '\0' : trimmed.front()) {
    case '{':
      return "object";
    case '[':
      return "array";
    case '"':
      return "string";
    case 't':
    case 'f':
      return "boolean";
    case 'n':
      return "null";
    default:
      return "number";
  }
}

size_t JsonRow::decode_string(std::string_view value, std::string& out) {
  constexpr int32_t kReplacement = 0xFFFD;
  std::string_view rest = value.substr(1, value.size() - 2);
  size_t replaced = 0;
  out.clear();
  while (!rest.empty()) {
    const size_t plain = std::min(rest.find('\\'), rest.size());
    out.append(rest.substr(0, plain));
    if (plain == rest.size()) break;
    const char kind = rest[plain + 1];
    rest.remove_prefix(plain + 2);
    if (kind != 'u') {
      constexpr std::string_view kNames = "bfnrt", kCharacters = "\b\f\n\r\t";
      const size_t known = kNames.find(kind);
      out += known == std::string_view::npos ? kind : kCharacters[known];
      continue;
    }
    int32_t unit = hex4(rest);
    rest.remove_prefix(4);
    if (is_high_surrogate(unit) && pairs(rest)) {
      unit = 0x10000 + ((unit - 0xD800) << 10) + (hex4(rest.substr(2)) - 0xDC00);
      rest.remove_prefix(6);
    } else if (is_high_surrogate(unit) || is_low_surrogate(unit)) {
      unit = kReplacement;
      ++replaced;
    }
    append_code_point(static_cast<char32_t>(unit), out);
  }
  return replaced;
}

double JsonRow::decode_number(std::string_view value) {
  return parse_saturated(value).value_or(0);
}

std::vector<std::string> JsonRow::member_names(std::string_view text) {
  const std::vector<JsonPath> no_paths;
  std::vector<std::string_view> no_values;
  std::vector<std::string> names;
  Scanner(text, no_paths, no_values, &names).run(0);
  return names;
}

}  // namespace mythos
