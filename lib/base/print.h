#pragma once
#include <string>
#include <string_view>

#include "base/strings.h"

// Prints results that hold names and words from outside to stdout. Text that is itself the result
// (decoded or generated) is written as it is, without these functions.
namespace mythos {

// Prints lines for people. Characters that would command a terminal are escaped (strings.h); line
// ends stay.
void print_lines(std::string_view lines);

// The text of a JSON value and a line end. Bytes of names that are no UTF-8 become U+FFFD, because
// JSON has no other bytes; characters that would command a terminal become \uNNNN, which reads back
// as the character.
template <class Json>
std::string json_text(const Json& json, int indent = 2) {
  return shown_lines(json.dump(indent, ' ', false, Json::error_handler_t::replace)) + "\n";
}
template <class Json>
void print_json(const Json& json) {
  print_lines(json_text(json));
}

}  // namespace mythos
