// Grouped-query attention with all its options, beside the equations written out in fp64 and one
// head at a time; each statement, made wrong there, no longer agrees.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "../device.h"
#include "equations.h"
#include "model/row_program.h"
#include "sample_model.h"

namespace mythos {
namespace {

// What the reference below gets wrong.
enum class Wrong {
  nothing,
  pairing,
  key_groups,
  bias_behind_rotation,
  bias_behind_norm,
  value_bias,
  norm_eps,
  norm_weight,
  gate_channels,
  gate_factor,
  gate_input,
  table_row,
  table_in_first_loop_only,
  scale,
};

// A plain stack of layers, the core twice, whose input is the embedding.
ModelConfig plain_config() {
  ModelConfig c;
  c.vocab_size = 41, c.dim = 40, c.max_seq_len = 32;
  c.prelude_layers = 1, c.core_layers = 2, c.coda_layers = 1, c.max_loop_iters = 2;
  c.attention = Attention::gqa;
  c.n_heads = 4, c.n_kv_heads = 2, c.core_kv_heads = 4, c.head_width = 6;
  c.rope_theta = 50;
  c.qk_norm = true, c.qk_norm_eps = 0.05;
  c.value_embeddings = "0,2,3";
  c.ffn = FeedForward::dense, c.ffn_dim = 16;
  c.injection = Injection::none, c.prelude_norm = false, c.lora_rank = 0;
  c.loop_embedding = LoopEmbedding::none;
  c.init_std = 0.25;
  return c;
}

std::vector<NamedConfig> options() {
  std::vector<NamedConfig> out;
  const auto add = [&](const std::string& name, auto&& change) {
    out.push_back({name, plain_config()});
    change(out.back().config);
  };
  add("qkv_bias_halves", [](ModelConfig& c) {
    c.attention_bias = AttentionBias::qkv, c.rope_pairing = RopePairing::halves;
  });
  add("qk_bias_weightless_norm",
      [](ModelConfig& c) { c.attention_bias = AttentionBias::qk, c.qk_norm_weight = false; });
  return out;
}

class Reference {
 public:
  Reference(const ModelConfig& config, const Parameters& parameters, Wrong wrong)
      : c_(config), wrong_(wrong) {
    for (const Parameters::Item& item : parameters.items()) {
      values_[item.name] = item.tensor.detach().to(at::kDouble).requires_grad_(true);
    }
  }

  // Logits [S,V] of ids [S].
  Tensor logits(const Tensor& ids, int64_t loops) {
    Tensor x = at::embedding(at("embed.weight"), ids);
    int64_t number = 0;
    const auto section = [&](const std::string& name, int64_t count, int64_t keys, bool again) {
      for (int64_t i = 0; i < count; ++i) {
        x = layer(x, ids, name + "." + std::to_string(i) + ".", keys, again);
        ++number;
      }
    };
    section("prelude", c_.prelude_layers, c_.n_kv_heads, false);
    for (int64_t t = 0; t < loops; ++t) section("core", c_.core_layers, c_.core_kv_heads, t > 0);
    section("coda", c_.coda_layers, c_.n_kv_heads, false);
    return at::matmul(norm(x, at("norm.weight"), c_.norm_eps), at("embed.weight").t());
  }
  const Tensor& at(const std::string& name) const { return values_.at(name); }

 private:
  static Tensor norm(const Tensor& x, const Tensor& weight, double eps) {
    const Tensor y = x / (x.square().mean(-1, true) + eps).sqrt();
    return weight.defined() ? y * weight : y;
  }

  // Channels i and j of x [S,d] turned by position·theta^(-2p/d) for each pair p.
  Tensor rotate(const Tensor& x) const {
    const int64_t d = x.size(1);
    const bool halves = (c_.rope_pairing == RopePairing::halves) != (wrong_ == Wrong::pairing);
    std::vector<Tensor> out(static_cast<size_t>(d));
    for (int64_t p = 0; p < d / 2; ++p) {
      const int64_t i = halves ? p : 2 * p, j = halves ? p + d / 2 : 2 * p + 1;
      const double frequency =
          std::pow(c_.rope_theta, -2.0 * static_cast<double>(p) / static_cast<double>(d));
      const Tensor angle = at::arange(x.size(0), x.options().requires_grad(false)) * frequency;
      const Tensor a = x.select(1, i), b = x.select(1, j);
      out[static_cast<size_t>(i)] = a * angle.cos() - b * angle.sin();
      out[static_cast<size_t>(j)] = b * angle.cos() + a * angle.sin();
    }
    return at::stack(out, 1);
  }

  // A query or key head as attention reads it.
  Tensor head(Tensor x, const Tensor& bias, const Tensor& weight) const {
    double eps = c_.qk_norm_eps;
    if (wrong_ == Wrong::norm_eps) eps = c_.norm_eps;
    const bool late = wrong_ == Wrong::bias_behind_rotation;
    if (wrong_ == Wrong::bias_behind_norm) return rotate(norm(x, weight, eps) + bias);
    if (!late) x = x + bias;
    x = rotate(norm(x, weight, eps));
    return late ? x + bias : x;
  }

  Tensor attention(const Tensor& y, const Tensor& raw, const Tensor& ids, const std::string& p,
                   int64_t keys, bool again) const {
    const int64_t H = c_.n_heads, d = c_.head_width, S = y.size(0);
    const Tensor qkv = at::matmul(y, at(p + "attn.qkv.weight").t());
    const auto weight = [&](const char* name) {
      if (!c_.qk_norm_weight || wrong_ == Wrong::norm_weight) return Tensor();
      return at(p + name);
    };
    const bool value_bias = c_.attention_bias == AttentionBias::qkv && wrong_ != Wrong::value_bias;
    std::vector<Tensor> k, v, out;
    for (int64_t j = 0; j < keys; ++j) {
      const Tensor bias = at(p + "attn.k_bias").narrow(0, j * d, d);
      k.push_back(head(qkv.narrow(1, (H + j) * d, d), bias, weight("attn.k_norm.weight")));
      Tensor value = qkv.narrow(1, (H + keys + j) * d, d);
      if (value_bias) value = value + at(p + "attn.v_bias").narrow(0, j * d, d);
      const bool skipped = wrong_ == Wrong::table_in_first_loop_only && again;
      if (values_.count(p + "value_embed.weight") && !skipped) {
        const Tensor& input = wrong_ == Wrong::gate_input ? raw : y;
        const Tensor read = input.narrow(1, wrong_ == Wrong::gate_channels ? c_.dim - 32 : 0, 32);
        const Tensor gate = at::matmul(read, at(p + "value_gate.weight")[j]).sigmoid();
        const Tensor rows = at::embedding(at(p + "value_embed.weight"),
                                          wrong_ == Wrong::table_row ? ids.roll(1) : ids);
        const double factor = wrong_ == Wrong::gate_factor ? 1 : 2;
        value = value + factor * gate.unsqueeze(1) * rows.narrow(1, j * d, d);
      }
      v.push_back(value);
    }
    const Tensor later = at::ones({S, S}, at::kBool).triu(1);
    for (int64_t h = 0; h < H; ++h) {
      const auto j = static_cast<size_t>(wrong_ == Wrong::key_groups ? h % keys : h * keys / H);
      const Tensor bias = at(p + "attn.q_bias").narrow(0, h * d, d);
      const Tensor q = head(qkv.narrow(1, h * d, d), bias, weight("attn.q_norm.weight"));
      const double width = static_cast<double>(wrong_ == Wrong::scale ? c_.dim / H : d);
      const Tensor scores = at::matmul(q, k[j].t()) / std::sqrt(width);
      out.push_back(at::matmul(scores.masked_fill(later, -INFINITY).softmax(-1), v[j]));
    }
    return at::matmul(at::cat(out, 1), at(p + "attn.wo.weight").t());
  }

  Tensor layer(const Tensor& x, const Tensor& ids, const std::string& p, int64_t keys,
               bool again) const {
    const Tensor y = norm(x, at(p + "attn_norm.weight"), c_.norm_eps);
    const Tensor mixed = x + attention(y, x, ids, p, keys, again);
    const Tensor z = norm(mixed, at(p + "ffn_norm.weight"), c_.norm_eps);
    const auto parts = at::matmul(z, at(p + "ffn.gate_up.weight").t()).chunk(2, 1);
    return mixed + at::matmul(at::silu(parts[0]) * parts[1], at(p + "ffn.down.weight").t());
  }

  const ModelConfig& c_;
  Wrong wrong_;
  std::map<std::string, Tensor> values_;
};

class AttentionOptions : public OnDeviceTest<NamedConfig> {
 protected:
  AttentionOptions() {
    config_.validate();
    const at::NoGradGuard no_grad;
    at::manual_seed(8);
    for (const Parameters::Item& item : model_.parameters.items()) {
      if (!item.name.ends_with("norm.weight")) continue;
      Tensor weight = item.tensor;
      weight.copy_(1 + 0.3 * at::randn(item.shape));
    }
  }
  // Logits of one sequence in fp64 on the CPU.
  Tensor whole(int64_t loops) const {
    const Weights weights = make_weights(config_, model_.parameters, at::kFloat);
    ForwardOptions pass;
    pass.loops = loops;
    const Tensor hidden = forward(config_, weights, ids_.unsqueeze(0).to(device_), pass).hidden;
    return logits(weights, hidden)[0].to(at::kCPU, at::kDouble);
  }

  const ModelConfig config_ = value().config;
  const Model model_ = sample_model(config_, 3, device_);
  const Tensor ids_ = sample_ids(config_, 1, 11)[0];
};

TEST_P(AttentionOptions, AreTheEquations) {
  const at::NoGradGuard no_grad;
  for (const int64_t loops : {1, 2, 3}) {
    Reference reference(config_, model_.parameters, Wrong::nothing);
    const Tensor want = reference.logits(ids_, loops);
    EXPECT_LE(distance(whole(loops), want), 2e-5 * want.abs().max().item<double>()) << loops;
  }
}

TEST_P(AttentionOptions, DifferWhereAStatementIsWrong) {
  const at::NoGradGuard no_grad;
  const Tensor got = whole(2);
  const bool values = config_.attention_bias == AttentionBias::qkv;
  for (int i = 1; i <= static_cast<int>(Wrong::scale); ++i) {
    const Wrong wrong{i};
    if (wrong == Wrong::value_bias && !values) continue;
    if (wrong == Wrong::norm_weight && !config_.qk_norm_weight) continue;
    Reference reference(config_, model_.parameters, wrong);
    EXPECT_GE(distance(got, reference.logits(ids_, 2)), 1e-3) << "statement " << i;
  }
}

TEST_P(AttentionOptions, GradientsAreThoseOfTheEquations) {
  const Tensor probe = at::randn({ids_.size(0), config_.vocab_size}, at::kDouble);
  Reference reference(config_, model_.parameters, Wrong::nothing);
  (reference.logits(ids_, 2) * probe).sum().backward();
  (whole(2) * probe).sum().backward();
  expect_gradients(model_.parameters, 1e-4,
                   [&](const std::string& name) { return reference.at(name).grad(); });
}

// The recorded program for single tokens on the CPU.
TEST_P(AttentionOptions, AreTheEquationsTokenByToken) {
  if (!device_.is_cpu()) GTEST_SKIP() << "recorded programs run on the CPU";
  const at::NoGradGuard no_grad;
  const Weights weights = make_weights(config_, model_.parameters, at::kFloat);
  RowProgram program(config_, weights, {});
  const auto cache = make_cache(config_, 3, 1, 4, device_, at::kFloat);
  Reference reference(config_, model_.parameters, Wrong::nothing);
  const Tensor want = reference.logits(ids_, 3);
  std::vector<float> got(static_cast<size_t>(config_.vocab_size));
  for (int64_t t = 0; t < ids_.size(0); ++t) {
    cache->reserve(t + 1);
    DecodeRow row;
    row.cache = cache.get();
    row.id = static_cast<uint32_t>(ids_[t].item<int64_t>());
    row.logits = got.data();
    program.run({&row, 1});
    EXPECT_LE(distance(at::tensor(got, at::kDouble), want[t]),
              2e-5 * want.abs().max().item<double>())
        << t;
  }
}

INSTANTIATE_TEST_SUITE_P(Options, AttentionOptions, testing::ValuesIn(on_each_device(options())),
                         [](const auto& info) {
                           return info.param.device + "_" + info.param.value.name;
                         });

}  // namespace
}  // namespace mythos
