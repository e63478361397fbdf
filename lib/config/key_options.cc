#include "config/key_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "config/field_value.h"

namespace mythos {
namespace {

std::string option_name(std::string_view field) {
  std::string name = "--" + std::string(field);
  std::ranges::replace(name, '_', '-');
  return name;
}

// The help of an option states the defaults of [decode]; values of [model] and [train] come from a
// preset.
template <class T>
std::string help_text(const std::string& key, const Field& field, const T& initial) {
  std::string text(field.help);
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  if constexpr (std::is_enum_v<T>) {
    constexpr auto& names = EnumNames<T>::names;
    text += ": " + join_or({names.begin(), names.end()});
  }
  if (key.starts_with("decode.")) {
    if constexpr (std::is_enum_v<T>) {
      text += "; default: " + std::string(enum_name(initial));
    } else if constexpr (!std::is_same_v<T, std::string> && !std::is_same_v<T, bool>) {
      text += strprintf("; default: %g", static_cast<double>(initial));
    }
  }
  return text + " (" + key + ")";
}

template <class T>
constexpr const char* value_name() {
  return std::is_enum_v<T>                ? "NAME"
         : std::is_same_v<T, std::string> ? "TEXT"
         : std::is_same_v<T, int64_t>     ? "N"
                                          : "X";
}

// Calls f(field, value with its default) for the field called `key`.
template <class F>
void find_field(std::string_view key, F&& f) {
  const Config defaults;
  Config::visit(defaults, [&](std::string_view table, const auto& part) {
    std::decay_t<decltype(part)>::visit(part, [&](const Field& field, const auto& value) {
      if (key == std::string(table) + "." + std::string(field.name)) f(field, value);
    });
  });
}

}  // namespace

void KeyOptions::declare(CLI::App& app, std::string_view key, const std::string& option) {
  find_field(key, [&](const Field& field, const auto& initial) {
    using T = std::decay_t<decltype(initial)>;
    const std::string name = option.empty() ? option_name(field.name) : option;
    const auto take = [this, field, name, key = std::string(key)](const std::string& text) {
      T checked;
      assign(field, name, parse_value(text), "", checked);
      assignments_.push_back(key + "=" + text);
    };
    const std::string help = help_text(std::string(key), field, initial);
    if constexpr (std::is_same_v<T, bool>) {
      app.add_flag_function(
          name, [take](int64_t count) { take(count > 0 ? "true" : "false"); }, help);
    } else {
      app.add_option_function<std::string>(name, take, help)->type_name(value_name<T>());
    }
  });
}

bool KeyOptions::given(std::string_view key) const {
  return std::ranges::any_of(assignments_, [&](const std::string& assignment) {
    return assignment.starts_with(std::string(key) + "=");
  });
}

void DecodeOptions::declare(CLI::App& app, const std::vector<std::string_view>& keys) {
  app.add_option("--config", config_file_,
                 "TOML file whose [decode] is used instead of the checkpoint's")
      ->type_name("FILE");
  const DecodeConfig defaults;
  DecodeConfig::visit(defaults, [&](const Field& field, const auto&) {
    if (!keys.empty() && std::ranges::find(keys, field.name) == keys.end()) return;
    keys_.declare(app, "decode." + std::string(field.name));
  });
}

bool DecodeOptions::any_given() const {
  const std::vector<std::string>& given = keys_.assignments();
  return !config_file_.empty() || std::ranges::any_of(given, [](const std::string& assignment) {
    return !assignment.starts_with("decode.dtype=");
  });
}

DecodeConfig DecodeOptions::resolve(const DecodeConfig& of_checkpoint) const {
  std::error_code status;
  if (!config_file_.empty() && !fs::is_regular_file(config_file_, status)) {
    fail(ErrorKind::usage, "--config " + config_file_ + ": there is no such file");
  }
  Config config;
  config.decode = config_file_.empty() ? of_checkpoint : load_config_file(config_file_).decode;
  for (const std::string& assignment : keys_.assignments()) set_value(config, assignment);
  config.decode.validate();
  if (given("cache_modulo") && config.decode.cache.sharing != CacheSharing::modulo) {
    fail(ErrorKind::usage, "--cache-modulo belongs to --cache-sharing modulo");
  }
  if (given("cache_basis") && config.decode.cache.sharing != CacheSharing::low_rank) {
    fail(ErrorKind::usage, "--cache-basis belongs to --cache-sharing low-rank");
  }
  return config.decode;
}

}  // namespace mythos
