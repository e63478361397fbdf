#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

#include "config/decode_config.h"

namespace mythos {

// The number of neighbours in a row that share a scale in WeightFormat::int8 and int4.
constexpr int64_t kWeightGroup = 32;

// A weight [N,K], or a stack of weights [E,N,K]. K' is K rounded up to whole groups; the numbers
// beyond K are 0.
struct Matrix {
  // plain: fp32 or bf16 [...,N,K]. int8: int8 [...,N,K']. int4: uint8 [...,N,K'/2]; byte i of a
  // group holds weight i in its low half and weight i+16 in its high half, each plus 8.
  at::Tensor values;
  at::Tensor scales;  // bf16 [...,N,K'/kWeightGroup]; undefined when plain
  WeightFormat format = WeightFormat::plain;
  int64_t columns = 0;  // K

  Matrix() = default;
  Matrix(const at::Tensor& plain)  // NOLINT: every tensor is a matrix as it stands
      : values(plain), columns(plain.defined() && plain.dim() > 0 ? plain.size(-1) : 0) {}

  bool defined() const { return values.defined(); }
  bool is_plain() const { return format == WeightFormat::plain; }
  int64_t rows() const { return values.size(-2); }
  // The weight of one expert in a stack.
  Matrix operator[](int64_t expert) const;
  // The values [...,N,K] in `type`; the stored tensor itself if it has that type.
  at::Tensor dense(at::ScalarType type) const;
  int64_t size_bytes() const;
};

// A function that is called with rows [M,K] of a weight that have been read for the last time.
using RowsRead = std::function<void(const at::Tensor& rows)>;

// Rounds w [...,N,K] fp32 or bf16, piece by piece.
Matrix quantize(const at::Tensor& w, WeightFormat format, const RowsRead& read = {});
// quantize() in plain operations, whole.
Matrix quantize_reference(const at::Tensor& w, WeightFormat format);
// Converts w to `type`, piece by piece; w itself if it has the type.
at::Tensor cast(const at::Tensor& w, at::ScalarType type, const RowsRead& read = {});

// The product x wᵀ as apply_linear() of plain weights (ops/linear/linear.h) computes it; rounded
// weights are expanded first.
at::Tensor apply_linear(const at::Tensor& x, const Matrix& w);

}  // namespace mythos
