#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "config/model_config.h"

namespace mythos {

using TensorMap = std::map<std::string, at::Tensor>;

// The public reference's parameter names and layout (one tensor per projection and expert) to the
// packed native layout (arch/tensors.h) and back. Both directions only move rows about, so
// they hold for gradients too. RoPE tables and the tied head in the reference's files are ignored.
// from_openmythos fails (data) naming a tensor that is missing, unknown or of another shape.
TensorMap from_openmythos(const ModelConfig& config, const TensorMap& reference,
                          const std::string& origin);
TensorMap to_openmythos(const ModelConfig& config, const TensorMap& native);

// Whether a tensor of the reference's files is one of its RoPE tables, which are of a complex type.
bool is_openmythos_table(const std::string& name);

}  // namespace mythos
