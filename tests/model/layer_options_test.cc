#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>

#include "../device.h"
#include "equations.h"
#include "model/row_program.h"
#include "ops/loss/linear_cross_entropy.h"
#include "sample_model.h"

// The places of norms, the feed-forward without a gate, injections, read-out and the bounds of
// logits beside a plain forward pass in fp64, written from the equations alone.
namespace mythos {
namespace {

enum class Wrong {
  nothing,
  placement,         // of the second norms
  relu2_half,        // relu² instead of ½ relu²
  core_width,        // of the core's feed-forward
  embedding_scale,   // none
  final_norm,        // not in the loop, or not before the coda
  final_norm_again,  // once more at the end, or not there
  order,             // [e | h] instead of [h | e]
  new_state_norm,    // the new state of linear is normalised
  gain,              // exact instead of Euler's
  readout,           // none, or behind the coda
  softcap,           // none
  first_state,       // zero instead of the one given
};
constexpr int kLastWrong = static_cast<int>(Wrong::first_state);

class Reference {
 public:
  Reference(const ModelConfig& config, const Parameters& parameters, Wrong wrong)
      : c_(config), wrong_(wrong) {
    for (const Parameters::Item& item : parameters.items()) {
      Tensor value = item.tensor.detach().to(at::kCPU, at::kDouble);
      if (is_trained(item.use)) value.requires_grad_();
      values_[item.name] = value;
    }
  }

  // Logits [S,V] of one sequence; h0 [S,D] the first state, undefined for the input itself.
  Tensor logits(const Tensor& ids, int64_t loops, const Tensor& h0) const {
    Tensor x = at::embedding(at("embed.weight"), ids);
    if (wrong_ != Wrong::embedding_scale) x = x * c_.embedding_scale;
    for (int64_t i = 0; i < c_.prelude_layers; ++i) x = layer(x, "prelude", i);
    const Tensor e = c_.prelude_norm ? norm(x, "prelude_norm.weight") : x;
    Tensor h = h0.defined() ? h0.to(at::kDouble) : e;
    if (wrong_ == Wrong::first_state) h = at::zeros_like(e);
    for (int64_t t = 0; t < loops; ++t) h = loop(h, e);
    x = h;
    const bool twice = c_.final_norm == FinalNorm::twice;
    if (twice && wrong_ != Wrong::final_norm) x = norm(x, "norm.weight");
    if (c_.readout && wrong_ != Wrong::readout) x = at::matmul(x, at("readout.weight").t());
    for (int64_t i = 0; i < c_.coda_layers; ++i) x = layer(x, "coda", i);
    const bool at_the_end = c_.final_norm != FinalNorm::loop;
    if (at_the_end != (wrong_ == Wrong::final_norm_again)) x = norm(x, "norm.weight");
    const Tensor y = at::matmul(x, at(c_.tied_head ? "embed.weight" : "head.weight").t());
    if (c_.logit_softcap == 0 || wrong_ == Wrong::softcap) return y;
    return c_.logit_softcap * (y / c_.logit_softcap).tanh();
  }
  const Tensor& at(const std::string& name) const { return values_.at(name); }

 private:
  Tensor norm(const Tensor& x, const std::string& name) const {
    return x / (x.square().mean(-1, true) + c_.norm_eps).sqrt() * at(name);
  }

  Tensor loop(const Tensor& h, const Tensor& e) const {
    Tensor x = h;
    if (c_.injection == Injection::linear) {
      const bool swapped = wrong_ == Wrong::order;
      x = at::matmul(at::cat({swapped ? e : h, swapped ? h : e}, 1),
                     at("recurrent.injection.weight").t());
    } else if (c_.injection == Injection::zoh) {
      const Tensor a = at("recurrent.injection.log_a").exp();
      const Tensor step = (1 + at("recurrent.injection.dt_bias").exp()).log();
      const Tensor decay = (-step * a).exp();
      const Tensor gain = wrong_ == Wrong::gain ? (1 - decay) / a : step;
      x = decay * h + gain * at::matmul(e, at("recurrent.injection.B.weight").t());
    }
    for (int64_t i = 0; i < c_.core_layers; ++i) x = layer(x, "core", i);
    if (wrong_ == Wrong::new_state_norm) x = x / (x.square().mean(-1, true) + c_.norm_eps).sqrt();
    const bool inside = c_.final_norm == FinalNorm::loop;
    return inside && wrong_ != Wrong::final_norm ? norm(x, "norm.weight") : x;
  }

  Tensor rotate(const Tensor& x) const {  // [S,d]
    const int64_t d = x.size(1);
    const auto plain = x.options().requires_grad(false);
    const Tensor frequency = at::pow(c_.rope_theta, -at::arange(0, d, 2, plain) / double(d));
    const Tensor angle = at::outer(at::arange(x.size(0), plain), frequency);
    const Tensor a = x.slice(1, 0, d, 2), b = x.slice(1, 1, d, 2);
    return at::stack({a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()}, 2)
        .flatten(1);
  }

  Tensor attention(const Tensor& y, const std::string& p) const {
    const int64_t H = c_.n_heads, K = c_.n_kv_heads, d = c_.dim / H, S = y.size(0);
    const Tensor qkv = at::matmul(y, at(p + "attn.qkv.weight").t());
    const Tensor later = at::ones({S, S}, at::kBool).triu(1);
    std::vector<Tensor> out;
    for (int64_t h = 0; h < H; ++h) {
      const int64_t j = h * K / H;
      const Tensor q = rotate(qkv.narrow(1, h * d, d)), k = rotate(qkv.narrow(1, (H + j) * d, d));
      const Tensor scores = at::matmul(q, k.t()) / std::sqrt(static_cast<double>(d));
      out.push_back(at::matmul(scores.masked_fill(later, -INFINITY).softmax(-1),
                               qkv.narrow(1, (H + K + j) * d, d)));
    }
    return at::matmul(at::cat(out, 1), at(p + "attn.wo.weight").t());
  }

  Tensor feed(const Tensor& z, const std::string& p) const {
    const Tensor down = at(p + "ffn.down.weight").t();
    if (c_.activation == Activation::relu2) {
      const Tensor positive = at::matmul(z, at(p + "ffn.up.weight").t()).clamp_min(0);
      const double factor = wrong_ == Wrong::relu2_half ? 1 : 0.5;
      Tensor hidden = factor * positive * positive;
      const bool narrow = wrong_ == Wrong::core_width && hidden.size(1) > c_.dense_ffn_dim();
      if (narrow) {  // as if the core's last channels were not there
        const int64_t width = c_.dense_ffn_dim();
        return at::matmul(hidden.narrow(1, 0, width), down.narrow(0, 0, width));
      }
      return at::matmul(hidden, down);
    }
    const auto parts = at::matmul(z, at(p + "ffn.gate_up.weight").t()).chunk(2, 1);
    return at::matmul(at::silu(parts[0]) * parts[1], down);
  }

  Tensor layer(const Tensor& x, const std::string& section, int64_t index) const {
    const std::string p = section + "." + std::to_string(index) + ".";
    const Tensor mixed = attention(norm(x, p + "attn_norm.weight"), p);
    NormPlacement placement = c_.norm_placement;
    if (wrong_ == Wrong::placement) {
      placement =
          placement == NormPlacement::sandwich ? NormPlacement::residual : NormPlacement::sandwich;
    }
    const auto joined = [&](const Tensor& x, const Tensor& y, const char* name) {
      if (placement == NormPlacement::sandwich) return x + norm(y, p + name);
      if (placement == NormPlacement::residual) return norm(x + y, p + name);
      return x + y;
    };
    const Tensor sum = joined(x, mixed, "attn_out_norm.weight");
    return joined(sum, feed(norm(sum, p + "ffn_norm.weight"), p), "ffn_out_norm.weight");
  }

  const ModelConfig& c_;
  Wrong wrong_;
  std::map<std::string, Tensor> values_;
};

// What published families are made of, each statement a key of its own.
std::vector<NamedConfig> families() {
  std::vector<NamedConfig> out;
  const auto add = [&](const std::string& name, auto&& change) {
    ModelConfig c = small_config();
    c.attention = Attention::gqa, c.ffn = FeedForward::dense, c.init_std = 0.3;
    c.loop_embedding = LoopEmbedding::none, c.lora_rank = 0, c.norm_eps = 1e-3;
    c.core_layers = 2, c.rope_theta = 100;
    change(c);
    out.push_back({name, c});
  };
  add("norms_of_sums", [](ModelConfig& c) {
    c.norm_placement = NormPlacement::residual, c.final_norm = FinalNorm::twice;
    c.injection = Injection::linear, c.injection_norm = false, c.prelude_norm = false;
    c.initial_state = InitialState::random, c.embedding_scale = 3;
  });
  add("gain_and_readout", [](ModelConfig& c) {
    c.activation = Activation::relu2, c.core_ffn_dim = 52, c.injection = Injection::zoh;
    c.zoh_gain = ZohGain::euler, c.readout = true, c.logit_softcap = 1.5;
    c.initial_state = InitialState::random;
  });
  add("norm_in_the_loop", [](ModelConfig& c) {
    c.norm_placement = NormPlacement::sandwich, c.final_norm = FinalNorm::loop;
    c.injection = Injection::none, c.prelude_norm = false, c.tied_head = false;
    c.prelude_layers = c.coda_layers = 0;
  });
  return out;
}

// Whether the configuration has what the statement is about.
bool concerns(Wrong wrong, const ModelConfig& c) {
  switch (wrong) {
    case Wrong::placement:
      return c.norm_placement != NormPlacement::pre;
    case Wrong::relu2_half:
    case Wrong::core_width:
      return c.activation == Activation::relu2;
    case Wrong::embedding_scale:
      return c.embedding_scale != 1;
    case Wrong::final_norm:
      return c.final_norm != FinalNorm::output;
    case Wrong::order:
    case Wrong::new_state_norm:
      return c.injection == Injection::linear;
    case Wrong::gain:
      return c.injection == Injection::zoh;
    case Wrong::readout:
      return c.readout;
    case Wrong::softcap:
      return c.logit_softcap > 0;
    case Wrong::final_norm_again:
      return true;
    default:
      return c.initial_state == InitialState::random;
  }
}

class LayerOptions : public OnDeviceTest<NamedConfig> {
 protected:
  LayerOptions() {
    config_.validate();
    const at::NoGradGuard no_grad;
    at::manual_seed(8);
    for (const Parameters::Item& item : model_.parameters.items()) {
      Tensor weight = item.tensor;
      if (item.name.ends_with("norm.weight")) weight.copy_(1 + 0.3 * at::randn(item.shape));
      const bool vector = item.name.ends_with("log_a") || item.name.ends_with("dt_bias");
      const bool matrix = item.name == "readout.weight" || item.name.ends_with("injection.weight");
      if (vector || matrix) weight.add_(0.5 * at::randn(item.shape));
    }
    if (config_.initial_state == InitialState::random) {
      state_ = at::randn({ids_.size(0), config_.dim});
    }
  }
  // Logits of one sequence in fp64 on the CPU.
  Tensor whole(int64_t loops) const {
    const Weights weights = make_weights(config_, model_.parameters, at::kFloat);
    ForwardOptions pass;
    pass.loops = loops;
    if (state_.defined()) pass.initial_state = state_.unsqueeze(0).to(device_);
    const Tensor hidden = forward(config_, weights, ids_.unsqueeze(0).to(device_), pass).hidden;
    return logits(weights, hidden)[0].to(at::kCPU, at::kDouble);
  }

  const ModelConfig config_ = value().config;
  const Model model_ = sample_model(config_, 3, device_);
  const Tensor ids_ = sample_ids(config_, 1, 11)[0];
  Tensor state_;  // [S,D] the first one, where it is random
};

TEST_P(LayerOptions, AreTheEquations) {
  const at::NoGradGuard no_grad;
  for (const int64_t loops : {1, 2, 3}) {
    const Reference reference(config_, model_.parameters, Wrong::nothing);
    const Tensor want = reference.logits(ids_, loops, state_);
    EXPECT_LE(distance(whole(loops), want), 3e-5 * want.abs().max().item<double>()) << loops;
  }
}

TEST_P(LayerOptions, DifferWhereAStatementIsWrong) {
  const at::NoGradGuard no_grad;
  const Tensor got = whole(2);
  for (int i = 1; i <= kLastWrong; ++i) {
    if (!concerns(Wrong{i}, config_)) continue;
    const Reference reference(config_, model_.parameters, Wrong{i});
    EXPECT_GE(distance(got, reference.logits(ids_, 2, state_)), 1e-2) << "statement " << i;
  }
}

TEST_P(LayerOptions, GradientsAreThoseOfTheEquations) {
  const Tensor probe = at::randn({ids_.size(0), config_.vocab_size}, at::kDouble);
  const Reference reference(config_, model_.parameters, Wrong::nothing);
  (reference.logits(ids_, 2, state_) * probe).sum().backward();
  (whole(2) * probe).sum().backward();
  expect_gradients(model_.parameters, 1e-4,
                   [&](const std::string& name) { return reference.at(name).grad(); });
}

// The recorded program for single tokens on the CPU, with states passed in.
TEST_P(LayerOptions, AreTheEquationsTokenByToken) {
  if (!device_.is_cpu()) GTEST_SKIP() << "recorded programs run on the CPU";
  const at::NoGradGuard no_grad;
  const Weights weights = make_weights(config_, model_.parameters, at::kFloat);
  const auto width = static_cast<size_t>(config_.vocab_size);
  for (const ExitRule rule : {ExitRule::none, ExitRule::kl}) {  // kl makes logits in every loop
    RowProgram program(config_, weights, {rule, -1});
    const auto cache = make_cache(config_, 3, 1, 4, device_, at::kFloat);
    const Reference reference(config_, model_.parameters, Wrong::nothing);
    const Tensor want = reference.logits(ids_, 3, state_);
    std::vector<float> got(width);
    for (int64_t t = 0; t < ids_.size(0); ++t) {
      cache->reserve(t + 1);
      DecodeRow row;
      row.cache = cache.get();
      row.id = static_cast<uint32_t>(ids_[t].item<int64_t>());
      row.logits = got.data();
      if (state_.defined()) row.first_state = state_[t].data_ptr<float>();
      program.run({&row, 1});
      EXPECT_LE(distance(at::tensor(got, at::kDouble), want[t]),
                3e-5 * want.abs().max().item<double>())
          << t;
    }
  }
}

// Losses of a head with bounded logits, and what training differentiates.
TEST_P(LayerOptions, LossesAreThoseOfTheLogits) {
  const Tensor targets = ids_.roll(-1).index_fill(0, at::tensor({3}, at::kLong), -1);
  const Tensor want = at::cross_entropy_loss(whole(2), targets, {}, at::Reduction::None, -1);
  const Weights weights = make_weights(config_, model_.parameters, at::kFloat);
  ForwardOptions pass;
  pass.loops = 2;
  if (state_.defined()) pass.initial_state = state_.unsqueeze(0).to(device_);
  const Tensor expected = targets.unsqueeze(0).to(device_);
  const Tensor hidden =
      forward(config_, weights, ids_.unsqueeze(0).to(device_), pass).hidden.detach();
  EXPECT_LE(distance(token_losses(weights, hidden, expected)[0].to(at::kCPU, at::kDouble), want),
            1e-4);
  EXPECT_NEAR(loss_sum(weights, hidden, expected).item<double>(), want.sum().item<double>(), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Families, LayerOptions, testing::ValuesIn(on_each_device(families())),
                         [](const auto& info) {
                           return info.param.device + "_" + info.param.value.name;
                         });

class BoundedLogits : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, BoundedLogits, testing::ValuesIn(test_devices()), device_name);

// Both operators, gradients of input and weight, against autograd over the plain statement.
TEST_P(BoundedLogits, HaveTheGradientsOfTheirTangent) {
  at::manual_seed(5);
  constexpr double kBound = 1.3;
  const Tensor x = at::randn({7, 12}).to(device_).requires_grad_();
  const Tensor w = at::randn({19, 12}).to(device_).requires_grad_();
  const Tensor targets =
      at::randint(19, {7}, at::kLong).index_fill(0, at::tensor({2}, at::kLong), -1);
  const Tensor ids = targets.to(device_), share = at::rand({7}).to(device_);
  const auto gradients = [&](const Tensor& loss) {
    x.mutable_grad() = w.mutable_grad() = Tensor();
    loss.backward();
    return std::array{x.grad().clone(), w.grad().clone()};
  };
  const auto expect_equal = [&](const Tensor& got, const Tensor& want, const Tensor& other) {
    EXPECT_LE((got - want).abs().max().item<double>(), 1e-5 * want.abs().max().item<double>());
    EXPECT_GE((got - other).abs().max().item<double>(), 1e-2 * want.abs().max().item<double>());
  };
  const auto plain = [&](double bound) {
    const Tensor z = at::matmul(x, w.t());
    const Tensor y = bound > 0 ? bound * (z / bound).tanh() : z;
    return at::cross_entropy_loss(y, ids, {}, at::Reduction::None, -1);
  };
  const Tensor sum = linear_cross_entropy(x, w, ids, 0.7, {}, kBound);
  const Tensor each = linear_cross_entropy_each(x, w, ids, kBound);
  expect_equal(sum.detach(), (0.7 * plain(kBound).sum()).detach(), (0.7 * plain(0).sum()).detach());
  expect_equal(each.detach(), plain(kBound).detach(), plain(0).detach());
  const auto got = gradients(sum), want = gradients(0.7 * plain(kBound).sum());
  const auto unbounded = gradients(0.7 * plain(0).sum());
  for (size_t i = 0; i < 2; ++i) expect_equal(got[i], want[i], unbounded[i]);
  const auto got_each = gradients((each * share).sum());
  const auto want_each = gradients((plain(kBound) * share).sum());
  const auto unbounded_each = gradients((plain(0) * share).sum());
  for (size_t i = 0; i < 2; ++i) expect_equal(got_each[i], want_each[i], unbounded_each[i]);
}

TEST(InitialValuesOf, EmbeddingAndReadoutFollowTheirRule) {
  ModelConfig c = small_config();
  c.embedding_std = 0.5, c.readout = true, c.vocab_size = 999;
  const Model model = sample_model(c);
  EXPECT_NEAR(model.parameters.at("embed.weight").std().item<double>(), 0.5, 0.02);
  EXPECT_NEAR(model.parameters.at("prelude.0.attn.wo.weight").std().item<double>(), 0.02, 0.004);
  EXPECT_TRUE(at::equal(model.parameters.at("readout.weight").detach(), at::eye(c.dim)));
}

}  // namespace
}  // namespace mythos
