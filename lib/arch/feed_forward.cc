#include "arch/feed_forward.h"

#include <algorithm>

namespace mythos {
namespace {

// Rows of an expert are brought to a multiple of 32 (ops/moe/moe_cpu.h): half of that is added.
constexpr int64_t kPaddingRows = 16;

}  // namespace

// The residual sum and its norm; gate, up and their product, or the positive part of up and its
// square. A mixture keeps scores and places of its experts, gate and up of the chosen ones, and a
// copy for the router where it is not in fp32.
Whole feed_forward_kept(const ModelConfig& config, Section section, int64_t c) {
  const Whole D = config.dim, norm = 2 * D * c + kFloatBytes;
  if (feed_forward_of(config, section) == FeedForward::dense) {
    const int64_t widths = config.activation == Activation::swiglu ? 3 : 2;
    return norm + widths * Whole(ffn_width_of(config, section)) * c;
  }
  const Whole k = config.n_experts_per_tok;
  const Whole router = (config.n_experts + 3 * k + 1) * kFloatBytes + 4 * k * kIndexBytes;
  const Whole wide_input = c < kFloatBytes ? D * kFloatBytes : Whole(0);
  return norm + router + wide_input + 2 * k * config.expert_dim * c +
         3 * Whole(config.shared_ffn_dim()) * c;
}

// The gradients of the sum, of gate and up (or of the square and its root), and of the input.
Whole feed_forward_work(const ModelConfig& config, Section section, int64_t c) {
  const Whole D = config.dim;
  if (feed_forward_of(config, section) == FeedForward::dense) {
    return (D + 2 * Whole(ffn_width_of(config, section))) * c;
  }
  const Whole k = config.n_experts_per_tok, shared = config.shared_ffn_dim();
  // Rows of the experts, their gradients and those of their inputs; beside them one expert's own.
  const Whole expert = (4 * k * config.expert_dim).value() / config.n_experts;
  const Whole routed = (3 + 3 * k) * D + expert - 3 * shared;
  return std::max(routed, D + 2 * shared) * c;
}

Whole expert_padding(const ModelConfig& config, Whole tokens, int64_t c) {
  if (tokens * config.n_experts_per_tok < Whole(config.n_experts) * kPaddingRows) return 0;
  return Whole(config.n_experts) * kPaddingRows * 2 * config.expert_dim * c;
}

}  // namespace mythos
