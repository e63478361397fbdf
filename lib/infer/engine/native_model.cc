#include "infer/engine/native_model.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "model/recurrence.h"
#include "ops/attention/rope.h"

namespace mythos {
namespace {

const float* fp32(const Tensor& t) {
  return t.defined() ? t.data_ptr<float>() : nullptr;
}

std::vector<float> values_of(const Tensor& t) {
  if (!t.defined()) return {};
  const Tensor wide = t.to(at::kFloat).contiguous();
  const float* data = wide.data_ptr<float>();
  return {data, data + wide.numel()};
}

}  // namespace

NativeLayer::NativeLayer(const LayerWeights& w)
    : attn_norm(fp32(w.attn_norm)),
      ffn_norm(fp32(w.ffn_norm)),
      q_norm(fp32(w.q_norm)),
      k_norm(fp32(w.k_norm)),
      kv_norm(fp32(w.kv_norm)),
      router_bias(fp32(w.router_bias)),
      down(w.down),
      q_up(w.q_up),
      kv_up(Matrix(w.kv_up)),
      qkv(w.qkv),
      wo(w.wo),
      gate_up(w.router.defined() ? w.shared_gate_up : w.gate_up),
      ffn_down(w.router.defined() ? w.shared_down : w.ffn_down),
      router(Matrix(w.router)),
      experts_gate_up(w.experts_gate_up),
      experts_down(w.experts_down) {}

NativeModel::NativeModel(const ModelConfig& c, const Weights& w)
    : config(c),
      embed(w.embed),
      head(w.head),
      lora_down(Matrix(w.lora_down)),
      prelude_norm(fp32(w.prelude_norm)),
      core_norm(fp32(w.core_norm)),
      norm(fp32(w.norm)),
      halt_weight(fp32(w.halt_weight)) {
  for (const LayerWeights& layer : w.prelude) prelude.emplace_back(layer);
  for (const LayerWeights& layer : w.core) core.emplace_back(layer);
  for (const LayerWeights& layer : w.coda) coda.emplace_back(layer);
  if (w.halt_bias.defined()) halt_bias = w.halt_bias.item<float>();
  A = values_of(transition(c, w));
  switch (c.injection) {
    case Injection::lti:
      B = values_of(w.injection_B);
      break;
    case Injection::zoh:
      injection_B = cpu::RowMatrix(Matrix(w.injection_B));
      gain = values_of(zoh_gain(w));
      break;
    case Injection::linear:
      injection = cpu::RowMatrix(Matrix(w.injection));
      break;
    case Injection::add:
    case Injection::none:
      break;
  }
  if (w.lora_down.defined()) {
    lora_up = cpu::RowMatrix(Matrix(w.lora_B));  // [r,D]
    const int64_t loops = w.lora_scale.size(0), rank = w.lora_scale.size(1);
    const std::vector<float> scales = values_of(w.lora_scale);
    lora_scale = FloatRows(loops, rank);
    for (int64_t t = 0; t < loops; ++t) {
      std::copy_n(scales.data() + t * rank, rank, lora_scale[t]);
    }
  }
}

void NativeModel::embedding(uint32_t id, float* to) const {
  const int64_t begin = static_cast<int64_t>(id) * config.dim;
  if (embed.scalar_type() == at::kFloat) {
    std::copy_n(embed.data_ptr<float>() + begin, config.dim, to);
  } else {
    std::copy_n(embed.data_ptr<at::BFloat16>() + begin, config.dim, to);
  }
}

void NativeModel::reserve(int64_t loops, int64_t positions) {
  if (loops > loops_ && config.loop_embedding == LoopEmbedding::sinusoid) {
    marks_ = values_of(loop_marks(config, loops, at::kCPU));
    loops_ = loops;
  }
  if (positions > positions_) {
    positions_ = std::max(positions, 2 * positions_);
    const auto [cos, sin] =
        rope_table(0, positions_, config.rope_dim(), config.rope_theta, at::kCPU);
    cos_ = values_of(cos);
    sin_ = values_of(sin);
  }
}

}  // namespace mythos
