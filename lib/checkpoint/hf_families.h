#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "config/config.h"

// The tables of hf_config.h: what each family of published models says in its config.json.
namespace mythos {

// A field of config.json that is a key of [model]. Names of nested fields are joined with a dot.
struct HfKey {
  std::string_view field, key;
  // The value of a field that is absent or null: JSON, or "=" and another field. Empty: it must be
  // there.
  std::string_view otherwise = {};
};

// A field whose every value but these, a JSON array, is refused. The first is written; it may be
// absent.
struct HfFixed {
  std::string_view field, values;
};

struct HfFamily {
  std::string_view name;       // model_type, or _class_name
  std::string_view class_key;  // which of the two
  std::string_view architecture;
  std::span<const HfKey> keys;
  std::span<const HfFixed> fixed;
  // What the family's code settles, before the fields that are keys, which may change it.
  void (*read)(const nlohmann::json& file, const std::string& origin, Config& config);
  // What follows from the keys; null: nothing.
  void (*complete)(const nlohmann::json& file, const std::string& origin, Config& config);
  // Fields that are neither keys nor fixed.
  void (*write)(const Config& config, nlohmann::ordered_json& file);
};

// In the order in which an export looks for the one that means the same.
std::span<const HfFamily> hf_families();

// All keys and fixed fields of a family, those that it shares with others first.
std::vector<HfKey> keys_of(const HfFamily& family);
std::vector<HfFixed> fixed_of(const HfFamily& family);

// The value of a field, whose name may be nested by dots; null where it is absent or null.
const nlohmann::json* find_field(const nlohmann::json& file, std::string_view field);

// Fails (data): the origin, the field, and why.
[[noreturn]] void refuse_field(const std::string& origin, std::string_view field,
                               const std::string& why, const std::string& advice = "");

}  // namespace mythos
