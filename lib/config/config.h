#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "config/decode_config.h"
#include "config/model_config.h"
#include "config/objectives_config.h"
#include "config/train_config.h"

namespace mythos {

// The configuration that a TOML file, a preset or a checkpoint holds: tables [model], [train],
// [objectives] and [decode]. A file may begin with `extends = ` and the name of a preset, a path
// ending in .toml (relative to the file), or a list of these, each laid over the one before; it
// then changes only the keys that it names. Cycles and unknown keys are errors.
struct Config {
  ModelConfig model;
  TrainConfig train;
  ObjectivesConfig objectives;
  DecodeConfig decode;

  // Calls f(std::string_view table, T& config) for every table, in the order of files.
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(std::string_view("model"), self.model);
    f(std::string_view("train"), self.train);
    f(std::string_view("objectives"), self.objectives);
    f(std::string_view("decode"), self.decode);
  }

  // Validates each table, and conditions between tables (seq_len within max_seq_len).
  void validate() const;
  bool operator==(const Config&) const = default;
};

// load_config_file(), load_preset() and parse_config() return a valid configuration or fail
// (usage), naming file, line and key.
Config load_config_file(const fs::path& path);
Config load_preset(const std::string& name);
// Parses TOML text, which errors name by `origin` ("nano.toml", with line and column).
Config parse_config(std::string_view toml, const std::string& origin);

// Applies a "key=value" of --set: `model.dim=64`, `train.lr=1e-3`, or a bare key if only one table
// has it. Fails (usage) on an unknown key, with a suggestion, and on a bad value, with the range.
// Conditions between keys are left to validate(), after the last assignment.
void set_value(Config& config, std::string_view assignment);

// The whole configuration with every key written out, except a [decode] that has only defaults; it
// reads back equal. `comments` adds each key's help.
std::string to_toml(const Config& config, bool comments = false);
nlohmann::json to_json(const ModelConfig& config);
nlohmann::json to_json(const TrainConfig& config);
nlohmann::json to_json(const ObjectivesConfig& config);
ModelConfig model_config_from_json(const nlohmann::json& json, const std::string& origin);

// Converts the reference's config.json keys (attn_type, max_loop_iters, …) to a model with the
// reference's semantics (openmythos-compat) and back. The way back fails (usage) if the model has
// mechanisms that the reference lacks.
ModelConfig model_config_from_openmythos(const nlohmann::json& json, const std::string& origin);
nlohmann::json openmythos_config(const ModelConfig& config);

// Presets are files NAME.toml in $MYTHOS_PRESETS, beside the binaries (../share/mythos/presets), or
// in the source tree.
struct PresetInfo {
  std::string name;
  std::string summary;  // first comment line of the file
  fs::path path;
};
// All presets: laptop sizes first, then mythos-* and openmythos-* by size.
std::vector<PresetInfo> list_presets();
fs::path preset_directory();

}  // namespace mythos
