#pragma once
#include <string>
#include <vector>

#include "checkpoint/openmythos.h"
#include "config/model_config.h"
#include "model/weights.h"

// The names and layouts of published models' tensors (hf_config.h) and those here (arch/tensors.h).
// Only rows move, so every number keeps its bytes and its type.
namespace mythos {

// Whether a published tensor is a table that is computed here: rotary angles. Such tensors may be
// of any type and are left out.
bool is_hf_table(const std::string& name);
// What the log says of them.
constexpr const char* kComputedTable = "angles of positions, which are computed";

struct HfTensors {
  // By native name. A tensor that is one of the published ones, or several that lie one behind the
  // other, is their memory; one that is joined of others is made when it is asked for.
  StoredTensors tensors;
  std::vector<std::string> dropped;  // lines for the log: what was left out, and why
};

// The native tensors of a model of config_from_hf(). Wrappers' prefixes of names have been taken
// off (weight_files.h). A head that is tied may be absent or there twice, under either name; equal
// it must be. Fails (data), naming the tensor, if one is missing, unknown or of another shape.
HfTensors from_hf(const ModelConfig& config, const TensorMap& published, const std::string& origin);

// All of them made.
TensorMap made(const StoredTensors& tensors);

// The tensors of a model as hf_form() gives it, from the native ones of `config`; and the published
// ones from those. Any of them may be gradients where hf_form() changes nothing. Fails (usage) at a
// tensor that the families have no name for.
TensorMap in_hf_form(const ModelConfig& config, const TensorMap& native);
TensorMap to_hf(const ModelConfig& config, const TensorMap& native);

}  // namespace mythos
