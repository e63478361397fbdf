#include "arch/parameters.h"

#include "base/whole.h"

namespace mythos {

int64_t ParameterSpec::numel() const {
  Whole count = 1;
  for (const int64_t size : shape) count *= size;
  return count.value();
}

namespace {

class Builder {
 public:
  explicit Builder(const ModelConfig& config) : c_(config) {}

  void vector(const std::string& name, int64_t size, Init init) {
    specs_.push_back({name, {size}, init, true, false});
  }
  void matrix(const std::string& name, std::vector<int64_t> shape) {
    specs_.push_back({name, std::move(shape), Init::normal, true, true});
  }

  void attention(const std::string& prefix) {
    if (c_.attention == Attention::gqa) {
      matrix(prefix + "qkv.weight", {(c_.n_heads + 2 * c_.n_kv_heads) * c_.head_dim(), c_.dim});
      if (c_.qk_norm) {
        vector(prefix + "q_norm.weight", c_.head_dim(), Init::ones);
        vector(prefix + "k_norm.weight", c_.head_dim(), Init::ones);
      }
      matrix(prefix + "wo.weight", {c_.dim, c_.n_heads * c_.head_dim()});
      return;
    }
    matrix(prefix + "down.weight",
           {c_.q_lora_rank + c_.kv_lora_rank + c_.qk_rope_head_dim, c_.dim});
    vector(prefix + "q_norm.weight", c_.q_lora_rank, Init::ones);
    matrix(prefix + "q_up.weight", {c_.n_heads * c_.qk_head_dim(), c_.q_lora_rank});
    vector(prefix + "kv_norm.weight", c_.kv_lora_rank, Init::ones);
    matrix(prefix + "kv_up.weight",
           {c_.n_heads * (c_.qk_nope_head_dim + c_.v_head_dim), c_.kv_lora_rank});
    matrix(prefix + "wo.weight", {c_.dim, c_.n_heads * c_.v_head_dim});
  }

  void moe(const std::string& prefix) {
    // The router stays in fp32: a small product whose ties decide where a token goes.
    specs_.push_back({prefix + "router.weight", {c_.n_experts, c_.dim}, Init::normal, true, false});
    specs_.push_back({prefix + "router_bias", {c_.n_experts}, Init::zeros, false, false});
    matrix(prefix + "experts.gate_up", {c_.n_experts, 2 * c_.expert_dim, c_.dim});
    matrix(prefix + "experts.down", {c_.n_experts, c_.dim, c_.expert_dim});
    if (c_.n_shared_experts == 0) return;
    matrix(prefix + "shared.gate_up.weight", {2 * c_.shared_ffn_dim(), c_.dim});
    matrix(prefix + "shared.down.weight", {c_.dim, c_.shared_ffn_dim()});
  }

  void layer(const std::string& prefix, FeedForward ffn) {
    vector(prefix + "attn_norm.weight", c_.dim, Init::ones);
    attention(prefix + "attn.");
    vector(prefix + "ffn_norm.weight", c_.dim, Init::ones);
    if (ffn == FeedForward::moe) {
      moe(prefix + "ffn.");
    } else {
      matrix(prefix + "ffn.gate_up.weight", {2 * c_.dense_ffn_dim(), c_.dim});
      matrix(prefix + "ffn.down.weight", {c_.dim, c_.dense_ffn_dim()});
    }
  }

  void layers(const std::string& part, int64_t count, FeedForward ffn) {
    for (int64_t i = 0; i < count; ++i) layer(part + "." + std::to_string(i) + ".", ffn);
  }

  void injection() {
    const std::string prefix = "recurrent.injection.";
    if (c_.injection == Injection::lti) {
      vector(prefix + "log_A", c_.dim, Init::zeros);
      vector(prefix + "log_dt", 1, Init::zeros);
      vector(prefix + "B", c_.dim, Init::injection);
    } else if (c_.injection == Injection::zoh) {
      vector(prefix + "log_a", c_.dim, Init::zeros);
      vector(prefix + "dt_bias", c_.dim, Init::zeros);
      specs_.push_back({prefix + "B.weight", {c_.dim, c_.dim}, Init::identity_tail, true, true});
    } else if (c_.injection == Injection::linear) {
      specs_.push_back({prefix + "weight", {c_.dim, 2 * c_.dim}, Init::identity_tail, true, true});
    }
  }

  void recurrence() {
    if (c_.prelude_norm) vector("prelude_norm.weight", c_.dim, Init::ones);
    if (c_.injection == Injection::lti || c_.injection == Injection::linear) {
      vector("recurrent.norm.weight", c_.dim, Init::ones);
    }
    injection();
    if (c_.lora_rank > 0) {
      matrix("recurrent.lora.down.weight", {c_.lora_rank, c_.dim});
      specs_.push_back({"recurrent.lora.scale.weight",
                        {c_.max_loop_iters, c_.lora_rank},
                        Init::normal,
                        true,
                        false});
      matrix("recurrent.lora.B", {c_.lora_rank, c_.dim});
    }
    if (c_.halting != Halting::none) {
      specs_.push_back({"recurrent.halt.weight", {1, c_.dim}, Init::normal, true, false});
      vector("recurrent.halt.bias", 1, Init::halt_bias);
    }
  }

  std::vector<ParameterSpec> build() {
    matrix("embed.weight", {c_.vocab_size, c_.dim});
    layers("prelude", c_.prelude_layers, FeedForward::dense);
    layers("core", c_.core_layers, c_.ffn);
    layers("coda", c_.coda_layers, FeedForward::dense);
    recurrence();
    vector("norm.weight", c_.dim, Init::ones);
    if (!c_.tied_head) matrix("head.weight", {c_.vocab_size, c_.dim});
    return std::move(specs_);
  }

 private:
  const ModelConfig& c_;
  std::vector<ParameterSpec> specs_;
};

}  // namespace

std::vector<ParameterSpec> parameter_specs(const ModelConfig& config) {
  return Builder(config).build();
}

}  // namespace mythos
