#pragma once
#include <torch/types.h>

#include <map>
#include <string>
#include <vector>

#include "config/model_config.h"
#include "config/parameters.h"

namespace mythos {

using torch::Tensor;

// "[2,3]", for messages.
std::string shape_text(at::IntArrayRef shape);

// The stored tensors of one model (parameter_specs), in fp32, in order.
class Parameters {
 public:
  struct Item {
    ParameterSpec spec;
    Tensor tensor;
  };

  // Allocates every tensor on the device, with requires_grad where trained; values undefined.
  Parameters(const ModelConfig& config, torch::Device device);

  // Fills all values. The same seed gives the same values on every device.
  void initialize(const ModelConfig& config, uint64_t seed);

  const std::vector<Item>& items() const { return items_; }
  // Fails (internal) when there is no such name.
  const Tensor& at(const std::string& name) const;
  bool contains(const std::string& name) const { return index_.count(name) > 0; }
  // Copies values in. Fails (data), naming the tensor and `origin`, when a name is missing or
  // unknown, or a shape differs.
  void load(const std::map<std::string, Tensor>& values, const std::string& origin);

 private:
  std::vector<Item> items_;
  std::map<std::string, size_t> index_;
};

// What one layer computes with. Members that a configuration lacks are undefined tensors.
struct LayerWeights {
  Tensor attn_norm, ffn_norm;
  Tensor down, q_norm, q_up, kv_norm, kv_up;  // mla
  Tensor qkv, k_norm;                         // gqa (q_norm with qk_norm)
  Tensor wo;
  Tensor gate_up, ffn_down;    // dense
  Tensor router, router_bias;  // moe
  Tensor experts_gate_up, experts_down;
  Tensor shared_gate_up, shared_down;
};

// Parameters made ready for computing: matrices cast to the compute type, vectors left in fp32.
// Made once per training step (the casts are part of the graph) or once per inference session.
struct Weights {
  Tensor embed, head;  // [V,D]; the same tensor when tied
  std::vector<LayerWeights> prelude, core, coda;
  Tensor prelude_norm, core_norm, norm;
  Tensor log_A, log_dt, injection_B;  // lti
  Tensor log_a, dt_bias;              // zoh, with injection_B [D,D]
  Tensor injection;                   // linear [D,2D]
  Tensor lora_down, lora_scale, lora_B;
  Tensor halt_weight, halt_bias;
  torch::Dtype compute_type = torch::kFloat32;
};

Weights make_weights(const ModelConfig& config, const Parameters& parameters,
                     torch::Dtype compute_type);

}  // namespace mythos
