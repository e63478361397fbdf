#include "model/initial_state.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <numbers>

namespace mythos {
namespace {

constexpr double kCut = 3;  // deviations

int32_t bits(uint32_t number) {
  return static_cast<int32_t>(number);
}

// x ^= x >> shift, as of numbers without sign.
void shift_xor(at::Tensor& x, int64_t shift) {
  x.bitwise_xor_(x.bitwise_right_shift(shift).bitwise_and_(bits(0xffffffffU >> shift)));
}

// Hashes 32-bit numbers in place: "lowbias32" of C. Wellons, a bijection with little bias.
void hash_(at::Tensor& x) {
  shift_xor(x, 16);
  x.mul_(bits(0x7feb352dU));
  shift_xor(x, 15);
  x.mul_(bits(0x846ca68bU));
  shift_xor(x, 16);
}

}  // namespace

at::Tensor initial_states(const at::Tensor& seeds, const at::Tensor& positions, int64_t channels,
                          double std) {
  const at::AutoGradMode no_gradient(false);
  const int32_t spread = bits(0x9e3779b9U);
  at::Tensor sequence = seeds.clone();  // [B]
  hash_(sequence);
  at::Tensor token = sequence.unsqueeze(1) + positions * spread;  // [B,S]
  hash_(token);
  at::Tensor x =  // [B,S,channels]
      token.unsqueeze(2) + at::arange(channels, seeds.options()).mul_(spread);
  hash_(x);
  // 24 bits to the middles of as many equal parts of (-1, 1), and those to the normal quantiles.
  at::Tensor uniform = x.bitwise_right_shift_(8).to(at::kFloat).add_(0.5).mul_(0x1p-23);
  const double inner = std::erf(kCut / std::numbers::sqrt2);
  return uniform.mul_(inner).erfinv_().mul_(std * std::numbers::sqrt2);
}

}  // namespace mythos
