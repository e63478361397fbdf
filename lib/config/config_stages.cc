#include "config/config_stages.h"

#include "config/apply.h"

namespace mythos {
namespace {

KeySources shown_values(const Config& config) {
  KeySources values;
  Config::visit(config, [&](std::string_view table, const auto& part) {
    std::decay_t<decltype(part)>::visit(part, [&](const Field& field, const auto& value) {
      values[std::string(table) + "." + std::string(field.name)] = show(field_value(value));
    });
  });
  return values;
}

}  // namespace

std::string to_toml(const std::vector<ConfigStage>& stages) {
  KeySources sources, before = shown_values({});
  for (const ConfigStage& stage : stages) {
    KeySources values = shown_values(stage.config);
    for (const auto& [key, value] : values) {
      if (value != before.at(key)) sources[key] = stage.source;
    }
    before = std::move(values);
  }
  return toml_text(stages.back().config, /*comments=*/true, &sources);
}

}  // namespace mythos
