#include "config/config.h"

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "config/apply.h"

namespace mythos {
namespace {

std::string prefix(const std::string& where) {
  return where.empty() ? "" : where + ": ";
}

std::vector<std::string> table_names() {
  std::vector<std::string> names;
  const Config config;
  Config::visit(config, [&](std::string_view table, const auto&) { names.emplace_back(table); });
  return names;
}

// The qualified names of the fields called `key`.
std::vector<std::string> named(const std::string& key) {
  std::vector<std::string> found;
  for (const std::string& candidate : all_keys()) {
    if (candidate.substr(candidate.find('.') + 1) == key) found.push_back(candidate);
  }
  return found;
}

// The names to suggest for a key of this table or, without a table, all bare names.
std::vector<std::string> names_in(const std::string& table) {
  std::vector<std::string> names;
  for (const std::string& key : all_keys()) {
    const size_t dot = key.find('.');
    if (table.empty() || key.substr(0, dot) == table) names.push_back(key.substr(dot + 1));
  }
  return names;
}

[[noreturn]] void fail_unknown_key(const Entry& entry) {
  const std::string qualifier = entry.table.empty() ? "" : entry.table + ".";
  const std::vector<std::string> elsewhere = named(entry.key);
  const auto near = nearest(entry.key, names_in(entry.table));
  std::string hint;
  if (!elsewhere.empty()) {
    hint = " Did you mean '" + elsewhere[0] + "'?";
  } else if (near) {
    hint = " Did you mean '" + qualifier + *near + "'?";
  }
  fail(ErrorKind::usage,
       prefix(entry.where) + "unknown key '" + qualifier + entry.key + "'." + hint);
}

}  // namespace

std::vector<std::string> all_keys() {
  std::vector<std::string> keys;
  const Config config;
  Config::visit(config, [&](std::string_view table, const auto& part) {
    std::decay_t<decltype(part)>::visit(part, [&](const Field& field, const auto&) {
      keys.push_back(std::string(table) + "." + std::string(field.name));
    });
  });
  return keys;
}

void apply(Config& config, const Entry& entry) {
  // Configurations written before there was [objectives] have the key in [train].
  if (entry.table == "train" && entry.key == "ponder_cost") {
    return apply(config, {"objectives", entry.key, entry.value, entry.where});
  }
  const std::vector<std::string> tables = table_names();
  if (!entry.table.empty() && std::ranges::find(tables, entry.table) == tables.end()) {
    fail(ErrorKind::usage, prefix(entry.where) + "unknown table '" + entry.table + "'; there are " +
                               join(tables, ", ") + "." + did_you_mean(entry.table, tables));
  }
  if (entry.key.empty()) return;
  bool found = false;
  Config::visit(config, [&](std::string_view table, auto& part) {
    if (entry.table != table) return;
    std::decay_t<decltype(part)>::visit(part, [&](const Field& field, auto& value) {
      if (field.name != entry.key) return;
      found = true;
      assign(field, std::string(table) + "." + entry.key, entry.value, entry.where, value);
    });
  });
  if (!found) fail_unknown_key(entry);
}

void set_value(Config& config, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  const std::string key(trim(assignment.substr(0, equals)));
  if (equals == std::string_view::npos || key.empty()) {
    fail(ErrorKind::usage,
         "--set " + std::string(assignment) + ": expected key=value, for example model.dim=64");
  }
  Entry entry{"", key, parse_value(assignment.substr(equals + 1)), "--set"};
  const std::vector<std::string> meanings = named(key);
  if (meanings.size() > 1) {
    fail(ErrorKind::usage, "--set " + key + ": name the table: " + join(meanings, " or "));
  }
  const std::string full = meanings.empty() ? key : meanings[0];
  const size_t dot = full.find('.');
  if (dot != std::string::npos) {
    entry.table = full.substr(0, dot);
    entry.key = full.substr(dot + 1);
  }
  if (entry.table.empty() || entry.key.empty()) fail_unknown_key(entry);
  apply(config, entry);
}

std::string toml_text(const Config& config, bool comments, const KeySources* sources) {
  std::string out;
  Config::visit(config, [&](std::string_view table, const auto& part) {
    if (!sources && table == "decode" && config.decode == DecodeConfig()) return;
    out += (out.empty() ? "[" : "\n[") + std::string(table) + "]\n";
    std::decay_t<decltype(part)>::visit(part, [&](const Field& field, const auto& value) {
      std::string line = std::string(field.name) + " = " + show(field_value(value));
      if (comments) {
        line.resize(std::max<size_t>(line.size(), 34), ' ');
        line += "  # " + std::string(field.help);
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_enum_v<T>) {
          const auto& names = EnumNames<T>::names;
          line += ": " + join(std::vector<std::string>(names.begin(), names.end()), ", ");
        }
      }
      if (sources) {
        const auto source = sources->find(std::string(table) + "." + std::string(field.name));
        if (source != sources->end()) line += " [" + shown(source->second) + "]";
      }
      out += line + "\n";
    });
  });
  return out;
}

std::string to_toml(const Config& config, bool comments) {
  return toml_text(config, comments, nullptr);
}

}  // namespace mythos
