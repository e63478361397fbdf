#pragma once
#include <vector>

#include "infer/engine/decoder.h"
#include "ops/linear/row_products.h"

// What the native decoder reads: the model's weights as plain pointers.
namespace mythos {

// Rows of floats, each from the start of a cache line on.
class FloatRows {
 public:
  FloatRows() = default;
  FloatRows(int64_t rows, int64_t width)
      : stride_((width + kWeightGroup - 1) / kWeightGroup * kWeightGroup),
        data_(static_cast<size_t>(rows * stride_)) {}
  float* operator[](int64_t row) { return data_.data() + row * stride_; }
  const float* operator[](int64_t row) const { return data_.data() + row * stride_; }

 private:
  int64_t stride_ = 0;
  std::vector<float> data_;
};

struct NativeLayer {
  explicit NativeLayer(const LayerWeights& w);

  const float *attn_norm, *ffn_norm, *q_norm, *k_norm, *kv_norm, *router_bias;
  cpu::RowMatrix down, q_up, kv_up, qkv, wo;
  cpu::RowMatrix gate_up, ffn_down;  // dense, or the shared experts
  cpu::RowMatrix router;
  cpu::RowMatrices experts_gate_up, experts_down;
};

struct NativeModel {
  NativeModel(const ModelConfig& config, const Weights& weights);

  ModelConfig config;
  std::vector<NativeLayer> prelude, core, coda;
  Tensor embed;
  cpu::RowMatrix head, injection, injection_B, lora_down, lora_up;
  const float *prelude_norm, *core_norm, *norm, *halt_weight;
  float halt_bias = 0;
  std::vector<float> A, B, gain;  // of the injection, [D]
  FloatRows lora_scale;           // [max_loop_iters] rows of lora_rank

  // Of one token, [D].
  void embedding(uint32_t id, float* to) const;
  // The mark of loop t, [D]; null without.
  const float* mark(int64_t t) const { return marks_.empty() ? nullptr : &marks_[t * config.dim]; }
  const float* cos(int64_t position) const { return &cos_[position * (config.rope_dim() / 2)]; }
  const float* sin(int64_t position) const { return &sin_[position * (config.rope_dim() / 2)]; }
  // Makes the two tables long enough.
  void reserve(int64_t loops, int64_t positions);

 private:
  std::vector<float> marks_, cos_, sin_;
  int64_t loops_ = 0, positions_ = 0;
};

}  // namespace mythos
