#include "train/muon.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "../device.h"
#include "../scratch.h"
#include "checkpoint/slices.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace mythos {
namespace {

Tensor normal(at::IntArrayRef sizes, uint64_t seed) {
  return at::randn(sizes, at::make_generator<at::CPUGeneratorImpl>(seed));
}

// UVᵀ of each matrix, by its singular value decomposition.
Tensor polar_by_svd(const Tensor& matrices) {
  const auto [u, s, vh] = at::linalg_svd(matrices.to(at::kCPU, at::kDouble), false);
  return at::matmul(u, vh);
}

// The largest singular value of a difference of matrices.
double distance(const Tensor& a, const Tensor& b) {
  const Tensor difference = a.to(at::kCPU, at::kDouble) - b.to(at::kCPU, at::kDouble);
  return at::linalg_matrix_norm(difference, 2).max().item<double>();
}

double jordan_scale(const Tensor& matrix) {
  const auto rows = static_cast<double>(matrix.size(-2));
  return std::sqrt(std::max(1.0, rows / static_cast<double>(matrix.size(-1))));
}

class Muon : public DeviceTest {
 protected:
  // How far a factor, whose singular values are 1, may be off; CUDA computes in bf16.
  double tolerance() const { return GetParam() == "cpu" ? 0.01 : 0.12; }
};

TEST_P(Muon, GivesThePolarFactorsOfTheSvd) {
  for (const auto& [rows, columns] :
       std::vector<std::pair<int64_t, int64_t>>{{8, 20}, {20, 8}, {16, 16}, {1, 7}, {7, 1}}) {
    // Singular values from 1 down to 1/100, whatever the norm.
    const auto [u, s, vh] = at::linalg_svd(normal({3, rows, columns}, 4), false);
    const Tensor values =
        at::logspace(0, -2, s.size(1)).unsqueeze(0) * at::tensor({1.0F, 1e-4F, 1e3F}).unsqueeze(1);
    const Tensor matrices = at::matmul(u * values.unsqueeze(1), vh);
    const Tensor found = polar_factors(matrices.to(device_));
    EXPECT_EQ(found.sizes(), matrices.sizes());
    EXPECT_EQ(found.scalar_type(), at::kFloat);
    EXPECT_LT(distance(found, polar_by_svd(matrices)), tolerance()) << rows << "x" << columns;
  }
  EXPECT_EQ(polar_factors(at::zeros({1, 4, 4}).to(device_)).abs().max().item<float>(), 0);
}

TEST_P(Muon, TakesExpertsAndPartsOfPackedMatricesApart) {
  for (const int64_t stack_numbers : {int64_t{1} << 26, int64_t{60}, int64_t{1}}) {
    const Tensor plain = normal({5, 6}, 1), same_shape = normal({5, 6}, 2);
    const Tensor experts = normal({3, 8, 6}, 3);  // two parts of 4 rows each
    const Tensor heads = normal({12, 6}, 4);      // 4 blocks of 2 rows and 1 row
    std::vector<MatrixTensor> tensors;
    for (const auto& [tensor, parts] : std::vector<std::pair<Tensor, std::vector<int64_t>>>{
             {plain, {}}, {same_shape, {}}, {experts, {4, 4}}, {heads, {2, 1}}}) {
      tensors.push_back({tensor.clone().to(device_), parts});
    }
    orthogonalize(tensors, stack_numbers);
    const auto check = [&](const Tensor& found, const Tensor& before, const char* what) {
      const double scale = jordan_scale(before);
      EXPECT_LT(distance(found, polar_by_svd(before) * scale), scale * tolerance()) << what;
    };
    check(tensors[0].values, plain, "plain");
    check(tensors[1].values, same_shape, "of one shape");
    for (int64_t e = 0; e < 3; ++e) {
      for (const int64_t first : {0, 4}) {
        check(tensors[2].values[e].narrow(0, first, 4), experts[e].narrow(0, first, 4), "expert");
      }
    }
    const auto of_heads = [](const Tensor& all, int64_t first, int64_t rows) {
      return all.view({4, 3, 6}).narrow(1, first, rows).reshape({4 * rows, 6});
    };
    check(of_heads(tensors[3].values, 0, 2), of_heads(heads, 0, 2), "first part of heads");
    check(of_heads(tensors[3].values, 2, 1), of_heads(heads, 2, 1), "second part of heads");
  }
}

ModelConfig packed_model(Attention attention) {
  ModelConfig config;
  config.attention = attention;
  config.vocab_size = 32;
  config.dim = 16;
  config.n_heads = 2;
  config.n_kv_heads = 1;
  config.kv_lora_rank = config.q_lora_rank = 8;
  config.qk_rope_head_dim = 4;
  config.qk_nope_head_dim = config.v_head_dim = 4;
  config.n_experts = 4;
  config.expert_dim = 8;
  config.max_loop_iters = 3;
  config.lora_rank = 2;
  config.tied_head = false;
  return config;
}

TrainConfig muon_config() {
  TrainConfig config;
  config.optimizer = Optimizer::muon;
  config.lr = 0.01;
  config.muon_lr = 0.05;
  config.muon_momentum = 0.9;
  config.weight_decay = 0.3;
  config.clip_norm = 0.7;
  return config;
}

void set_random_gradients(const Parameters& parameters, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (const Parameters::Item& item : parameters.items()) {
    if (!is_trained(item.use)) continue;
    Tensor parameter = item.tensor;
    parameter.mutable_grad() = at::randn(parameter.sizes(), generator).to(parameter.device());
  }
}

double norm_of_gradients(const Parameters& parameters) {
  double sum = 0;
  for (const Parameters::Item& item : parameters.items()) {
    if (!is_trained(item.use)) continue;
    sum += item.tensor.grad().to(at::kDouble).square().sum().item<double>();
  }
  return std::sqrt(sum);
}

// Each matrix of a tensor by itself, as views: those that lie in `parts` of it.
std::vector<Tensor> matrices_of(const std::string& name, const ModelConfig& c, const Tensor& t) {
  const auto rows = [&](const Tensor& of, std::vector<int64_t> counts) {
    std::vector<Tensor> out;
    int64_t first = 0;
    for (const int64_t count : counts) {
      out.push_back(of.narrow(0, first, count));
      first += count;
    }
    return out;
  };
  if (name.ends_with("experts.gate_up")) {
    std::vector<Tensor> out;
    for (int64_t e = 0; e < t.size(0); ++e) {
      for (const Tensor& part : rows(t[e], {c.expert_dim, c.expert_dim})) out.push_back(part);
    }
    return out;
  }
  if (name.ends_with("experts.down")) return t.unbind();
  if (name.ends_with("gate_up.weight")) return rows(t, {t.size(0) / 2, t.size(0) / 2});
  if (name.ends_with("attn.qkv.weight")) {
    const int64_t d = c.head_dim();
    return rows(t, {c.n_heads * d, c.n_kv_heads * d, c.n_kv_heads * d});
  }
  if (name.ends_with("attn.down.weight")) {
    return rows(t, {c.q_lora_rank, c.kv_lora_rank, c.qk_rope_head_dim});
  }
  return {t};
}

using MuonModels = testing::TestWithParam<Attention>;

// Per-head interleaved tensors (q_up, kv_up) are compared in the test of parts above.
TEST_P(MuonModels, EqualsThePlainFormOfEachMatrix) {
  const ModelConfig model = packed_model(GetParam());
  Parameters parameters(model, at::kCPU);
  parameters.initialize(model, 5);
  const TrainConfig config = muon_config();
  GroupedOptimizer optimizer(parameters, config);
  std::map<std::string, Tensor> momentum, expected;
  for (const Parameters::Item& item : parameters.items()) {
    expected[item.name] = item.tensor.detach().to(at::kDouble);
    momentum[item.name] = at::zeros_like(expected[item.name]);
  }
  const auto is_muons = [](const Parameters::Item& item) {
    return item.name != "embed.weight" && item.name != "head.weight" && item.shape.size() >= 2 &&
           item.name.find("router") == item.name.npos && item.name.find("lora") == item.name.npos;
  };
  size_t matrices = 0;
  std::set<std::string> beyond;  // that had singular values below those which become 1
  for (uint64_t step = 0; step < 3; ++step) {
    set_random_gradients(parameters, step);
    const double clip = config.clip_norm / norm_of_gradients(parameters);
    for (const Parameters::Item& item : parameters.items()) {
      if (!is_muons(item)) continue;
      const Tensor gradient = item.tensor.grad().to(at::kDouble) * clip;
      Tensor& m = momentum[item.name];
      m = 0.9 * m + 0.1 * gradient;
      const Tensor direction = 0.1 * gradient + 0.9 * m;
      Tensor& value = expected[item.name];
      value = value * (1 - 0.5 * 0.05 * 0.3);
      const auto targets = matrices_of(item.name, model, value);
      const auto sources = matrices_of(item.name, model, direction);
      for (size_t i = 0; i < targets.size(); ++i) {
        Tensor target = targets[i];
        const Tensor least = at::linalg_svdvals(sources[i]).min() / sources[i].norm();
        if (least.item<double>() < 2e-3) beyond.insert(item.name);
        target.sub_(polar_by_svd(sources[i]) * (0.5 * 0.05 * jordan_scale(sources[i])));
        ++matrices;
      }
    }
    optimizer.step(0.5);
    optimizer.zero_grad();
  }
  EXPECT_GT(matrices, 40U);
  EXPECT_LT(beyond.size(), 4U);
  std::set<std::string> states;
  for (const auto& [name, tensor] : optimizer.state()) states.insert(name);
  for (const Parameters::Item& item : parameters.items()) {
    if (!is_trained(item.use)) continue;
    EXPECT_EQ(states.count("momentum." + item.name), is_muons(item)) << item.name;
    EXPECT_EQ(states.count("exp_avg." + item.name), !is_muons(item)) << item.name;
    if (!is_muons(item) || item.name.ends_with("q_up.weight") ||
        item.name.ends_with("kv_up.weight") || beyond.count(item.name) > 0) {
      continue;
    }
    // Three updates whose singular values are up to sqrt(2)·0.5·0.05 each, within a hundredth.
    const Tensor difference = item.tensor.detach().to(at::kDouble) - expected[item.name];
    EXPECT_LT(difference.abs().max().item<double>(), 3 * 0.036 * 0.01) << item.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Attentions, MuonModels, testing::Values(Attention::mla, Attention::gqa),
                         [](const auto& info) { return std::string(enum_name(info.param)); });

using Groups = DeviceTest;

// The change that one step with gradients of 1 makes to a tensor without decay: -lr.
double change(const Parameters& parameters, const ModelConfig& model, const std::string& name) {
  Parameters before(model, parameters.items().front().tensor.device());
  before.initialize(model, 5);
  return (parameters.at(name) - before.at(name)).mean().item<double>();
}

TEST_P(Groups, HaveTheirOwnRatesAndDecays) {
  const ModelConfig model = packed_model(Attention::gqa);
  TrainConfig config;
  config.lr = 0.01;
  config.weight_decay = 0;
  config.lr_base_width = 4;  // a quarter of dim
  config.param_groups = "embed.* lr=0.5; *norm* lr=2; coda.0.*norm* lr=0; head.weight decay=0.25";
  Parameters parameters(model, device_);
  parameters.initialize(model, 5);
  for (const Parameters::Item& item : parameters.items()) {
    if (!is_trained(item.use)) continue;
    Tensor parameter = item.tensor;
    parameter.mutable_grad() = at::ones_like(parameter);
  }
  GroupedOptimizer(parameters, config).step(0.1);
  EXPECT_NEAR(change(parameters, model, "embed.weight"), -0.0005, 1e-6);
  EXPECT_NEAR(change(parameters, model, "norm.weight"), -0.002, 1e-6);
  EXPECT_EQ(change(parameters, model, "coda.0.attn_norm.weight"), 0);
  EXPECT_NEAR(change(parameters, model, "core.0.attn.qkv.weight"), -0.00025, 1e-6);
  EXPECT_NEAR(change(parameters, model, "core.0.ffn.router.weight"), -0.00025, 1e-6);
  EXPECT_NEAR(change(parameters, model, "recurrent.lora.scale.weight"), -0.001, 1e-6);
  Parameters before(model, device_);
  before.initialize(model, 5);
  const Tensor head = before.at("head.weight") * (1 - 0.00025 * 0.25) - 0.00025;
  EXPECT_TRUE(at::allclose(parameters.at("head.weight"), head, 1e-5, 1e-8));
}

// One update in step 7 of 10, whose cosine from 1 to 0.1 is at 0.1 + 0.45·(1 + cos 0.8π).
TEST_P(Groups, FollowTheirOwnSchedules) {
  const ModelConfig model = packed_model(Attention::gqa);
  const auto factor_of = [](const std::string& name) {
    if (name == "embed.weight") return 8.0 / 20;      // still warming up
    if (name == "norm.weight") return 1 - 0.5 * 0.5;  // half of a cooldown to 0.5 is done
    if (name.starts_with("core.0.attn")) return 1.0;  // constant
    return 0.1 + 0.45 * (1 + std::cos(0.8 * std::numbers::pi));  // the run's
  };
  for (const Optimizer kind : {Optimizer::adamw, Optimizer::muon}) {
    TrainConfig config = muon_config();
    config.optimizer = kind;
    config.weight_decay = 0;
    config.steps = 10;
    config.warmup_steps = 0;
    Parameters scheduled(model, device_), whole(model, device_), before(model, device_);
    for (Parameters* each : {&scheduled, &whole, &before}) each->initialize(model, 5);
    set_random_gradients(scheduled, 3);
    set_random_gradients(whole, 3);
    GroupedOptimizer(whole, config).step(1);
    config.param_groups =
        "embed.* warmup=20; norm.* schedule=linear-cooldown min=0.5; core.0.attn* "
        "schedule=constant";
    GroupedOptimizer(scheduled, config).step([](const TrainConfig& schedule) {
      return schedule_factor(schedule, 7);
    });
    for (const Parameters::Item& item : scheduled.items()) {
      if (!is_trained(item.use)) continue;
      const Tensor old = before.at(item.name).detach();
      const Tensor want = (whole.at(item.name).detach() - old) * factor_of(item.name);
      EXPECT_GT(want.abs().max().item<double>(), 1e-4) << item.name;
      EXPECT_LT((item.tensor.detach() - old - want).abs().max().item<double>(), 1e-6) << item.name;
    }
  }
}

TEST_P(Groups, DecayCautiouslyWhereTheUpdateMovesTowardsZero) {
  const ModelConfig model = packed_model(Attention::mla);
  for (const Optimizer kind : {Optimizer::adamw, Optimizer::muon}) {
    TrainConfig config = muon_config();
    config.optimizer = kind;
    Parameters parameters(model, device_), undecayed(model, device_), before(model, device_);
    for (Parameters* each : {&parameters, &undecayed, &before}) each->initialize(model, 5);
    config.cautious_decay = true;
    GroupedOptimizer optimizer(parameters, config);
    config.weight_decay = 0;
    GroupedOptimizer plain(undecayed, config);
    set_random_gradients(parameters, 3);
    set_random_gradients(undecayed, 3);
    optimizer.step(1);
    plain.step(1);
    for (const Parameters::Item& item : parameters.items()) {
      if (!is_trained(item.use)) continue;
      const Tensor old = before.at(item.name).detach(), moved = undecayed.at(item.name).detach();
      const bool muons = kind == Optimizer::muon && is_hidden_matrix(item);
      const double share = is_decayed(item.use) ? (muons ? 0.05 : 0.01) * 0.3 : 0;
      const Tensor update = old - moved;
      const Tensor want = moved - share * old * (update * old).ge(0);
      EXPECT_TRUE(at::allclose(item.tensor.detach(), want, 1e-5, 1e-7)) << item.name;
    }
  }
}

TEST_P(Groups, AverageTheWeightsEvenlyAtFirstAndThenExponentially) {
  const ModelConfig model = packed_model(Attention::mla);
  TrainConfig config = muon_config();
  config.ema_decay = 0.75;
  Parameters parameters(model, device_);
  parameters.initialize(model, 5);
  GroupedOptimizer optimizer(parameters, config);
  std::map<std::string, Tensor> want;
  for (uint64_t t = 1; t <= 7; ++t) {
    set_random_gradients(parameters, t);
    optimizer.step(1);
    const double share = std::max(1 / static_cast<double>(t), 0.25);
    for (const Parameters::Item& item : parameters.items()) {
      const Tensor value = item.tensor.detach().to(at::kDouble);
      Tensor& mean = want[item.name];
      mean = mean.defined() ? mean * (1 - share) + share * value : value;
    }
  }
  size_t found = 0;
  for (const auto& [name, tensor] : optimizer.state()) {
    if (!name.starts_with("ema.")) continue;
    ++found;
    EXPECT_LT((tensor.to(at::kDouble) - want.at(name.substr(4))).abs().max().item<double>(), 1e-6)
        << name;
  }
  EXPECT_EQ(found, static_cast<size_t>(std::ranges::count_if(
                       parameters.items(), [](const auto& item) { return is_trained(item.use); })));
}

TrainConfig every_part() {
  TrainConfig config = muon_config();
  config.ema_decay = 0.9;
  config.cautious_decay = true;
  config.param_groups = "embed.* lr=0.5";
  return config;
}

TensorMap clones(const NamedTensors& tensors) {
  TensorMap out;
  for (const auto& [name, tensor] : tensors) out[name] = tensor.detach().clone();
  return out;
}

NamedTensors values_of(const Parameters& parameters) {
  NamedTensors out;
  for (const Parameters::Item& item : parameters.items()) out.emplace_back(item.name, item.tensor);
  return out;
}

TEST_P(Groups, GoOnFromTheirStateBitForBit) {
  const ModelConfig model = packed_model(Attention::mla);
  Parameters one(model, device_), other(model, device_);
  one.initialize(model, 5);
  GroupedOptimizer first(one, every_part());
  for (uint64_t step = 0; step < 3; ++step) {
    set_random_gradients(one, step);
    first.step(1);
  }
  other.load(clones(values_of(one)), "test");
  GroupedOptimizer second(other, every_part());
  second.load(joined(clones(first.state()), {}, "test"), "test");
  set_random_gradients(one, 9);
  set_random_gradients(other, 9);
  first.step(0.5);
  second.step(0.5);
  const TensorMap want = clones(first.state()), found = clones(second.state());
  ASSERT_EQ(want.size(), found.size());
  for (const auto& [name, tensor] : want) EXPECT_TRUE(at::equal(tensor, found.at(name))) << name;
  for (const auto& item : one.items()) {
    EXPECT_TRUE(at::equal(item.tensor, other.at(item.name))) << item.name;
  }
}

TEST_P(Groups, LeaveAllAsItIsInAStepThatIsSkipped) {
  const ModelConfig model = packed_model(Attention::mla);
  for (const bool overflow : {false, true}) {
    Parameters parameters(model, device_);
    parameters.initialize(model, 5);
    GroupedOptimizer optimizer(parameters, every_part());
    for (uint64_t step = 0; step < 2; ++step) {
      set_random_gradients(parameters, step);
      optimizer.step(1);
    }
    const TensorMap state = clones(optimizer.state()), values = clones(values_of(parameters));
    set_random_gradients(parameters, 8);
    double seen = 0;
    if (overflow) {
      parameters.at("core.0.ffn.experts.down").grad().view(-1)[3] = NAN;
      const Tensor scale = at::full({}, 4.0F).to(device_);
      EXPECT_EQ(optimizer.step(1, scale).skipped.item<float>(), 1);
    } else {
      const auto skips = [&](const Tensor& norm) {
        seen = norm.item<double>();
        return at::ones_like(norm);
      };
      const double norm = norm_of_gradients(parameters);
      EXPECT_EQ(optimizer.step(1, {}, skips).skipped.item<float>(), 1);
      EXPECT_NEAR(seen, norm, 1e-4 * norm);
    }
    for (const auto& [name, tensor] : optimizer.state()) {
      EXPECT_TRUE(at::equal(tensor, state.at(name))) << name;
    }
    for (const auto& [name, tensor] : values_of(parameters)) {
      EXPECT_TRUE(at::equal(tensor, values.at(name))) << name;
    }
  }
}

TEST_P(Groups, BeginAveragesWithTheWeightsWhereAStateHasNone) {
  const ModelConfig model = packed_model(Attention::mla);
  Parameters parameters(model, device_);
  parameters.initialize(model, 5);
  GroupedOptimizer without(parameters, muon_config());
  set_random_gradients(parameters, 1);
  without.step(1);
  GroupedOptimizer with(parameters, every_part());
  with.load(joined(clones(without.state()), {}, "test"), "test");
  const TensorMap state = clones(with.state());
  EXPECT_TRUE(at::equal(state.at("ema.embed.weight"), parameters.at("embed.weight")));
  without.load(joined(state, {}, "test"), "test");
  EXPECT_EQ(clones(without.state()).count("ema.embed.weight"), 0U);
}

TEST_P(Groups, LeaveTensorsWithoutGradientOut) {
  const ModelConfig model = packed_model(Attention::mla);
  Parameters parameters(model, device_);
  parameters.initialize(model, 5);
  Tensor frozen = parameters.at("embed.weight");
  frozen.requires_grad_(false);
  const Tensor before = frozen.clone();
  GroupedOptimizer optimizer(parameters, every_part());
  optimizer.step(1);
  EXPECT_TRUE(at::equal(frozen, before));
  for (const auto& [name, tensor] : optimizer.state()) {
    EXPECT_EQ(name.find("embed"), name.npos) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Muon, testing::ValuesIn(test_devices()), device_name);
INSTANTIATE_TEST_SUITE_P(Devices, Groups, testing::ValuesIn(test_devices()), device_name);

}  // namespace
}  // namespace mythos
