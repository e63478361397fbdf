#include <cstdio>
#include <nlohmann/json.hpp>

#include "arch/plan.h"
#include "base/cli.h"
#include "base/print.h"
#include "base/strings.h"
#include "config/config.h"

using namespace mythos;

namespace {

struct Options {
  bool json = false;
  std::string name;
};

void list(bool json) {
  nlohmann::json rows = nlohmann::json::array();
  if (!json) std::printf("%-16s %11s  %s\n", "NAME", "PARAMETERS", "SUMMARY");
  for (const PresetInfo& preset : list_presets()) {
    const ModelConfig model = load_config_file(preset.path).model;
    const int64_t parameters = make_plan(model, 0, 0).parameters;
    if (json) {
      rows.push_back({{"name", preset.name},
                      {"parameters", parameters},
                      {"summary", preset.summary},
                      {"path", preset.path.string()}});
    } else {
      std::printf("%-16s %11s  %s\n", shown(preset.name).c_str(),
                  human_count(static_cast<double>(parameters)).c_str(),
                  shown(preset.summary).c_str());
    }
  }
  if (json) print_json(nlohmann::json{{"schema", "mythos.presets/1"}, {"presets", rows}});
}

void show(const Options& options) {
  const Config config = load_preset(options.name);
  if (options.json) {
    const nlohmann::json out = {{"schema", "mythos.preset/1"},
                                {"name", options.name},
                                {"model", to_json(config.model)},
                                {"train", to_json(config.train)}};
    print_json(out);
  } else {
    print_lines(to_toml(config, true));
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App* listing = nullptr;
  return run_command(
      argc, argv,
      {"mythos-presets", "Show the configurations that --preset knows.",
       R"(mythos presets list
          mythos presets show nano > my.toml && mythos train --config my.toml --data DIR --out RUN
          mythos presets show mythos-1b --json | jq .model.dim)",
       [&](CLI::App& app) {
         app.require_subcommand(1);
         listing = app.add_subcommand("list", "Names, parameters and summaries of all presets");
         listing->add_flag("--json", options.json, "Print one JSON object (mythos.presets/1)");
         CLI::App* showing =
             app.add_subcommand("show", "One preset with every key, as a file for --config");
         showing->add_option("NAME", options.name, "Name of the preset")->required();
         showing->add_flag("--json", options.json, "Print one JSON object (mythos.preset/1)");
       },
       [&] {
         if (listing->parsed()) {
           list(options.json);
         } else {
           show(options);
         }
         return 0;
       }});
}
