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

std::vector<TensorDeclaration> declared_trained(const ModelConfig& config) {
  std::vector<TensorDeclaration> trained = declared_tensors(config);
  std::erase_if(trained, [](const TensorDeclaration& tensor) { return !is_trained(tensor.use); });
  return trained;
}

}  // namespace mythos
