#include "config/config_toml.h"

#include <toml++/toml.h>
#include <algorithm>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

std::string location(const std::string& origin, const toml::source_region& source) {
  return origin + ":" + std::to_string(source.begin.line);
}

FieldValue scalar(const toml::node& node, const std::string& key, const std::string& where) {
  if (const auto* flag = node.as_boolean()) return flag->get();
  if (const auto* whole = node.as_integer()) return whole->get();
  if (const auto* real = node.as_floating_point()) return real->get();
  if (const auto* text = node.as_string()) return text->get();
  fail(ErrorKind::usage, where + ": " + key + ": expected a number, true, false or a name, got " +
                             (node.is_table()   ? "a table"
                              : node.is_array() ? "a list"
                                                : "a date or time"));
}

std::vector<std::string> extended_names(const toml::node& node, const std::string& where) {
  std::vector<std::string> names;
  const auto add = [&](const toml::node& item) {
    const auto* text = item.as_string();
    if (!text) {
      fail(ErrorKind::usage, where +
                                 ": extends: expected the name of a preset, a path ending in "
                                 ".toml, or a list of them");
    }
    names.push_back(text->get());
  };
  if (const auto* list = node.as_array()) {
    for (const toml::node& item : *list) add(item);
  } else {
    add(node);
  }
  return names;
}

}  // namespace

TomlDocument read_toml(std::string_view text, const std::string& origin) {
  toml::table root;
  try {
    root = toml::parse(text, origin);
  } catch (const toml::parse_error& error) {
    fail(ErrorKind::usage, location(origin, error.source()) + ":" +
                               std::to_string(error.source().begin.column) +
                               ": not TOML: " + std::string(error.description()));
  }
  TomlDocument document;
  for (const auto& [key, node] : root) {
    const std::string where = location(origin, node.source());
    const std::string name(key.str());
    if (name == "extends") {
      document.extends = extended_names(node, where);
      document.extends_where = where;
      continue;
    }
    const auto* table = node.as_table();
    if (!table) {
      document.entries.push_back({"", name, scalar(node, name, where), where});
      continue;
    }
    if (table->empty()) document.entries.push_back({name, "", false, where});
    for (const auto& [inner, value] : *table) {
      const std::string place = location(origin, value.source());
      const std::string inner_name(inner.str());
      document.entries.push_back(
          {name, inner_name, scalar(value, name + "." + inner_name, place), place});
    }
  }
  return document;
}

}  // namespace mythos
