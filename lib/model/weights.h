#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "arch/parameters.h"
#include "config/model_config.h"
#include "ops/linear/matrix.h"

namespace mythos {

using at::Tensor;

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
  Parameters(const ModelConfig& config, at::Device device);

  // Fills all values, or those of one tensor. The same seed gives the same values on every device.
  void initialize(const ModelConfig& config, uint64_t seed);
  void initialize(const ModelConfig& config, uint64_t seed, const std::string& name);

  const std::vector<Item>& items() const { return items_; }
  // Fails (internal) when there is no such name.
  const Tensor& at(const std::string& name) const;
  bool contains(const std::string& name) const { return index_.count(name) > 0; }
  // Lets go of one tensor's memory; it must not be used again.
  void release(const std::string& name);
  // Copies values in. Fails (data), naming the tensor and `origin`, when a name is missing or
  // unknown, or a shape differs.
  void load(const std::map<std::string, Tensor>& values, const std::string& origin);
  // The same for computing without gradient: fp32 values on this device are shared, not copied.
  void adopt(const std::map<std::string, Tensor>& values, const std::string& origin);

 private:
  // The values by item; fails as load() does.
  std::vector<const Tensor*> match(const std::map<std::string, Tensor>& values,
                                   const std::string& origin) const;

  std::vector<Item> items_;
  std::map<std::string, size_t> index_;
};

// What one layer computes with. Members that a configuration lacks are undefined.
struct LayerWeights {
  Tensor attn_norm, ffn_norm;
  Matrix down, q_up;  // mla
  Tensor q_norm, kv_norm, kv_up;
  Matrix qkv;     // gqa
  Tensor k_norm;  // with q_norm: qk_norm
  Matrix wo;
  Matrix gate_up, ffn_down;    // dense
  Tensor router, router_bias;  // moe
  Matrix experts_gate_up, experts_down;
  Matrix shared_gate_up, shared_down;

  // f(member) for each tensor and matrix. `self` may be const.
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    const auto each = [&](auto&... member) { (f(member), ...); };
    each(self.attn_norm, self.ffn_norm, self.down, self.q_up, self.q_norm, self.kv_norm, self.kv_up,
         self.qkv, self.k_norm, self.wo, self.gate_up, self.ffn_down, self.router, self.router_bias,
         self.experts_gate_up, self.experts_down, self.shared_gate_up, self.shared_down);
  }
};

// Parameters made ready for computing: matrices cast to the compute type, vectors left in fp32.
// Made once per micro-batch (the matrices are shared weights of its graph, ops/linear/weight.h) or
// once per inference session. Hidden widths of dense layers and shared experts are those of the
// configuration, filled up with zeros to a multiple of width_multiple() (ops/linear/weight.h).
struct Weights {
  Tensor embed;  // [V,D]
  Matrix head;   // [V,D]; embed when tied and plain
  std::vector<LayerWeights> prelude, core, coda;
  Tensor prelude_norm, core_norm, norm;
  Tensor log_A, log_dt, injection_B;  // lti
  Tensor log_a, dt_bias;              // zoh, with injection_B [D,D]
  Tensor injection;                   // linear [D,2D]
  Tensor lora_down, lora_scale, lora_B;
  Tensor halt_weight, halt_bias;
  at::ScalarType compute_type = at::kFloat;
};

// Hidden widths are padded to `multiple` where it is given, for tests.
Weights make_weights(const ModelConfig& config, const Parameters& parameters,
                     at::ScalarType compute_type, std::optional<int64_t> multiple = {});

// Makes one parameter ready to be read, where values are filled in as late as that.
using PrepareParameter = std::function<void(Parameters& parameters, const std::string& name)>;

// For inference alone: the matrices of the Matrix members rounded to `format`; with int4 the head
// keeps int8. Takes the parameters, whose values are lost: the memory of each goes back piece by
// piece while it is cast or rounded, so that both are never there whole. Without gradient.
Weights make_inference_weights(const ModelConfig& config, Parameters&& parameters,
                               at::ScalarType compute_type, WeightFormat format,
                               const PrepareParameter& prepare = {});

// Memory of all of them; a head that is the embedding counts once.
int64_t size_bytes(const Weights& weights);

}  // namespace mythos
