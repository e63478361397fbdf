#pragma once
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/format.h"

namespace mythos {

std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
// A choice in words: "a", "a or b", "a, b or c".
std::string join_or(std::vector<std::string> parts);
std::string_view trim(std::string_view text);
std::string lower_ascii(std::string_view text);  // A to Z as a to z, other bytes as they are

// The number that the whole text is; nothing if the text is anything else. A double may be nan or
// inf.
std::optional<int64_t> parse_int(std::string_view text);
std::optional<double> parse_double(std::string_view text);
// As parse_double(), but infinite if the number is too large for a double, and 0 if it is too
// small.
std::optional<double> parse_saturated(std::string_view text);
// A comma-separated list of positive integers: "1,2,4". Fails (usage) naming `what` otherwise.
std::vector<int64_t> parse_int_list(std::string_view text, std::string_view what);

// The candidate nearest to `word` by edit distance (insert, delete, replace, swap), if it is near
// enough for a typing error: a distance of 1, or of at most a third of the word's length.
std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);
// " Did you mean 'X'?" or the empty string.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

std::string human_bytes(double bytes);       // 1.5 GiB
std::string human_count(double count);       // 1.06 B
std::string human_duration(double seconds);  // 2m05s

std::string group_digits(std::string digits);
// A whole number of any type, written as 1,064,028,034.
template <std::integral T>
std::string with_commas(T number) {
  return group_digits(std::to_string(number));
}

// Makes text printable on one line. ASCII's control characters and invalid bytes become
// , \t, \r or \xNN; delete, C1 controls, line separators and characters that turn the direction of
// writing become \uNNNN. A text of more than `max_bytes` is cut there and ends with "...".
std::string escaped(std::string_view text, size_t max_bytes = 200);
// A whole text from outside (a file's name, a key, a label) as messages and tables show it:
// escaped(), never cut.
inline std::string shown(std::string_view text) {
  return escaped(text, text.size());
}
// shown() of each line of a text of several lines, such as a table.
std::string shown_lines(std::string_view text);

}  // namespace mythos
