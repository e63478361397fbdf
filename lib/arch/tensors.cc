#include "arch/tensors.h"

#include "base/whole.h"

namespace mythos {

int64_t TensorDeclaration::numel() const {
  Whole count = 1;
  for (const int64_t size : shape) count *= size;
  return count.value();
}

std::vector<TensorDeclaration> declared_tensors(const ModelConfig& config) {
  return declarations_of<ModelTensors>(config);
}

}  // namespace mythos
