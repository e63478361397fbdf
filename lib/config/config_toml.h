#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "config/field_value.h"

namespace mythos {

// A TOML text as a list of assignments in the order of the text.
struct TomlDocument {
  std::vector<std::string> extends;
  std::string extends_where;
  std::vector<Entry> entries;
};

// Parses a TOML text, which errors name by `origin`. Fails (usage) on text that is not TOML, on a
// key outside a table, and on values that no key has (dates, lists, nested tables).
TomlDocument read_toml(std::string_view text, const std::string& origin);

}  // namespace mythos
