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
      q_norm(fp32(w.mla.down.defined() ? w.mla.q_norm : w.gqa.q_norm)),
      k_norm(fp32(w.gqa.k_norm)),
      kv_norm(fp32(w.mla.kv_norm)),
      router_bias(fp32(w.moe.router_bias)),
      down(w.mla.down),
      q_up(w.mla.q_up),
      kv_up(Matrix(w.mla.kv_up)),
      qkv(w.gqa.qkv),
      wo(w.mla.wo.defined() ? w.mla.wo : w.gqa.wo),
      gate_up(w.moe.router.defined() ? w.moe.shared.gate_up : w.dense.gate_up),
      ffn_down(w.moe.router.defined() ? w.moe.shared.down : w.dense.down),
      router(Matrix(w.moe.router)),
      experts_gate_up(w.moe.gate_up),
      experts_down(w.moe.down) {}

NativeModel::NativeModel(const ModelConfig& c, const Weights& w)
    : config(c),
      embed(w.embed),
      head(w.head),
      lora_down(Matrix(w.core.adapter.down)),
      prelude_norm(fp32(w.prelude_norm)),
      core_norm(fp32(w.core.injection.norm)),
      norm(fp32(w.norm)),
      halt_weight(fp32(w.core.halting.weight)) {
  for (const LayerWeights& layer : w.prelude) prelude.emplace_back(layer);
  for (const LayerWeights& layer : w.core.layers) core.emplace_back(layer);
  for (const LayerWeights& layer : w.coda) coda.emplace_back(layer);
  if (w.core.halting.bias.defined()) halt_bias = w.core.halting.bias.item<float>();
  A = values_of(transition(c, w));
  switch (c.injection) {
    case Injection::lti:
      B = values_of(w.core.injection.B);
      break;
    case Injection::zoh:
      injection_B = cpu::RowMatrix(Matrix(w.core.injection.B_in));
      gain = values_of(zoh_gain(w));
      break;
    case Injection::linear:
      injection = cpu::RowMatrix(Matrix(w.core.injection.weight));
      break;
    case Injection::add:
    case Injection::none:
      break;
  }
  const auto& adapter = w.core.adapter;
  if (adapter.down.defined()) {
    lora_up = cpu::RowMatrix(Matrix(adapter.up));  // [r,D]
    const int64_t loops = adapter.scale.size(0), rank = adapter.scale.size(1);
    const std::vector<float> scales = values_of(adapter.scale);
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
