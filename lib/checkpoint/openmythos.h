#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "config/model_config.h"

namespace mythos {

using TensorMap = std::map<std::string, at::Tensor>;

// Converts the public reference's parameter names and layout (one tensor for each projection and
// expert) to the packed native layout (arch/tensors.h) and back. Both directions only move rows, so
// they can convert gradients too. RoPE tables and the tied head in the reference's files are
// ignored. from_openmythos fails (data), naming the tensor, if one is missing, unknown or of
// another shape.
TensorMap from_openmythos(const ModelConfig& config, const TensorMap& reference,
                          const std::string& origin);
TensorMap to_openmythos(const ModelConfig& config, const TensorMap& native);

// Whether a tensor of that name is one of the reference's RoPE tables, which have a complex type.
bool is_openmythos_table(const std::string& name);

}  // namespace mythos
