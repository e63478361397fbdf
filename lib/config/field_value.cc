#include "config/field_value.h"

#include <charconv>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

// A number of a range as people write it: 1048576, 1e-20.
std::string plain(double number) {
  if (std::floor(number) == number && std::fabs(number) < 1e16) return strprintf("%.0f", number);
  return strprintf("%g", number);
}

std::string range_text(const Field& field) {
  if (std::isinf(field.lo) && std::isinf(field.hi)) return "any finite number";
  if (std::isinf(field.hi)) return "at least " + plain(field.lo);
  if (std::isinf(field.lo)) return "at most " + plain(field.hi);
  return plain(field.lo) + " to " + plain(field.hi);
}

// The shortest text that reads back as the same double, and that TOML takes for a float.
std::string show_double(double value) {
  if (std::floor(value) == value && std::fabs(value) < 1e15) return strprintf("%.1f", value);
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return std::string(text, end);
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

std::string show(const FieldValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* whole = std::get_if<int64_t>(&value)) return std::to_string(*whole);
  if (const auto* real = std::get_if<double>(&value)) return show_double(*real);
  return in_quotes(std::get<std::string>(value));
}

FieldValue parse_value(std::string_view typed) {
  const std::string_view text = trim(typed);
  if (text == "true" || text == "false") return text == "true";
  if (const auto whole = parse_int(text)) return *whole;
  if (const auto real = parse_double(text)) return *real;
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    return std::string(text.substr(1, text.size() - 2));
  }
  return std::string(text);
}

void fail_value(const std::string& where, const std::string& key, const std::string& shown,
                const std::string& message) {
  fail(ErrorKind::usage,
       (where.empty() ? "" : where + ": ") + key + " = " + shown + ": " + message);
}

void check_range(const Field& field, const std::string& key, double value, const FieldValue& shown,
                 const std::string& where) {
  // The comparison is written so that NaN fails.
  if (value >= field.lo && value <= field.hi && std::isfinite(value)) return;
  fail_value(where, key, show(shown), "out of range; allowed: " + range_text(field));
}

void assign(const Field&, const std::string& key, const FieldValue& value, const std::string& where,
            bool& target) {
  const auto* flag = std::get_if<bool>(&value);
  if (!flag) fail_value(where, key, show(value), "expected true or false");
  target = *flag;
}

void assign(const Field& field, const std::string& key, const FieldValue& value,
            const std::string& where, int64_t& target) {
  const auto* whole = std::get_if<int64_t>(&value);
  if (!whole) fail_value(where, key, show(value), "expected a whole number, " + range_text(field));
  check_range(field, key, static_cast<double>(*whole), value, where);
  target = *whole;
}

void assign(const Field& field, const std::string& key, const FieldValue& value,
            const std::string& where, double& target) {
  double number = 0;
  if (const auto* whole = std::get_if<int64_t>(&value)) {
    number = static_cast<double>(*whole);
  } else if (const auto* real = std::get_if<double>(&value)) {
    number = *real;
  } else {
    fail_value(where, key, show(value), "expected a number, " + range_text(field));
  }
  check_range(field, key, number, value, where);
  target = number;
}

void assign(const Field&, const std::string& key, const FieldValue& value, const std::string& where,
            std::string& target) {
  if (std::holds_alternative<bool>(value)) {
    fail_value(where, key, show(value), "expected a text in quotes");
  }
  const auto* text = std::get_if<std::string>(&value);
  target = text ? *text : show(value);
}

size_t find_name(const std::string& key, const FieldValue& value, const std::string& where,
                 std::span<const std::string_view> names) {
  const std::vector<std::string> allowed(names.begin(), names.end());
  const auto* text = std::get_if<std::string>(&value);
  for (size_t i = 0; text && i < names.size(); ++i) {
    if (*text == names[i]) return i;
  }
  fail_value(
      where, key, show(value),
      "expected one of " + join(allowed, ", ") + "." + (text ? did_you_mean(*text, allowed) : ""));
}

}  // namespace mythos
