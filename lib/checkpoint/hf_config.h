#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "config/config.h"

// The config.json of published models, as the library `transformers` reads it, and what it means
// here. A family is a table: which of its fields is which key of [model], which fields must have
// the one value that this program computes, and the settings that the family's code fixes.
namespace mythos {

// Whether a config.json tells its family: by "model_type", or "_class_name" (Parcae). Those of this
// program's own exports have neither.
bool is_hf_config(const nlohmann::json& json);

// The configuration that such a file stands for. Fails (data), naming the field, if the family is
// unknown (it names those known), if a field is missing or of another type, and if it has a value
// that this program does not compute with (rope_scaling, sliding_window, …). Fields that say
// nothing about the result pass.
Config config_from_hf(const nlohmann::json& json, const std::string& origin);

// The model as a published family has it: a stack of layers that runs once becomes one section,
// rotated halves take the place of adjacent channels, and a norm or a factor of the embeddings of
// a model without prelude goes into their table. The tensors change with it (hf_names.h); results
// do not, but for the order of sums.
ModelConfig hf_form(const ModelConfig& config);

// The config.json of a configuration whose model is as hf_form() gives it: of the first family that
// means the same by it. `dtype` is that of the stored tensors, "float32" or "bfloat16". Fails
// (usage), naming the keys in which the nearest family differs, if there is none.
nlohmann::ordered_json config_to_hf(const Config& config, const std::string& dtype);

}  // namespace mythos
