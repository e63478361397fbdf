#pragma once
#include <string_view>

namespace mythos {

// Finds the end of a JSON value in a text that arrives in pieces, by its brackets and quotes alone.
// JsonRow checks whether the value is well-formed.
class JsonValueEnd {
 public:
  // Returns the value's size in bytes; npos if it may go on after `text`, which begins with the
  // value's first byte and grows from call to call.
  size_t find(std::string_view text) {
    for (; at_ < text.size(); ++at_) {
      const char c = text[at_];
      if (in_string_) {
        if (c == '\\') {
          if (at_ + 1 == text.size()) break;
          ++at_;
        } else if (c == '"') {
          in_string_ = false;
          if (depth_ == 0) return at_ + 1;
        }
      } else if (c == '"') {
        in_string_ = true;
      } else if (c == '{' || c == '[') {
        ++depth_;
      } else if (depth_ == 0 && ends_scalar(c)) {
        return at_;
      } else if ((c == '}' || c == ']') && --depth_ == 0) {
        return at_ + 1;
      }
    }
    return std::string_view::npos;
  }
  // Whether a bracket or a quote is open at the end of the text.
  bool is_open() const { return in_string_ || depth_ > 0; }

 private:
  static bool ends_scalar(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',' || c == '}' || c == ']';
  }

  size_t at_ = 0, depth_ = 0;
  bool in_string_ = false;
};

}  // namespace mythos
