#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace mythos {

// The values of one tensor that no model computes with: NaN, infinities, and fp64 values that are
// infinite in fp32.
struct NonFiniteTensor {
  std::string name;
  int64_t count = 0;
  std::vector<int64_t> index;  // the place of the first, a number for each dimension
  double value = 0;            // the first, as it is stored
};

struct NonFinite {
  std::vector<NonFiniteTensor> tensors;  // those that hold any, in the order they were looked at

  // Counts the values that are not finite in a tensor on any device; other types than
  // floating-point ones hold none. A tensor in main memory is read once, by all threads.
  void look_at(const std::string& name, const at::Tensor& tensor);

  bool none() const { return tensors.empty(); }
  int64_t count() const;  // over all tensors
  // "3 values in 2 tensors are not finite (2 in 'norm.weight', 1 in 'embed.weight'), the first nan
  // in 'norm.weight' at [5]"; empty for none.
  std::string text() const;
  // Advice where a result is not finite and these are the model's: "Of the weights, " and text(),
  // or where to look when all are finite.
  std::string cause() const;
};

// The values of named tensors that are not finite; any range of pairs (name, tensor).
template <class NamedTensors>
NonFinite find_nonfinite(const NamedTensors& tensors) {
  NonFinite found;
  for (const auto& [name, tensor] : tensors) found.look_at(name, tensor);
  return found;
}

}  // namespace mythos
