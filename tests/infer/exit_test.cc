#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "../device.h"
#include "../model/sample_model.h"
#include "base/error.h"
#include "infer/engine/decoder.h"
#include "model/exit_criteria.h"

namespace mythos {
namespace {

constexpr int64_t kTokens = 14, kLoops = 5;

Decoder::Options exiting(ExitRule rule, double threshold) {
  Decoder::Options options;
  options.compute_type = ComputeType::fp32;
  options.exit = rule;
  options.exit_threshold = threshold;
  return options;
}

struct Steps {
  std::vector<std::vector<float>> logits;
  std::vector<int64_t> loops_run;
};

// Some tokens one after the other.
Steps steps(const Model& model, const Decoder::Options& options, bool full_depth = false) {
  Decoder decoder(model, options);
  const auto cache = decoder.make_cache(kLoops, 4);
  Steps out;
  for (int64_t i = 0; i < kTokens; ++i) {
    out.logits.emplace_back(static_cast<size_t>(model.config.vocab_size));
    const auto id = static_cast<uint32_t>((7 * i * i + 3) % model.config.vocab_size);
    Decoder::Row row{cache.get(), id, 0, out.logits.back().data(), 0, full_depth};
    decoder.step({&row, 1});
    out.loops_run.push_back(row.loops_run);
  }
  return out;
}

// Thresholds that no loop meets, that every loop meets, and that some do.
double never(ExitRule rule) {
  return rule == ExitRule::argmax_stability ? 1e9 : 0;
}
double always(ExitRule rule) {
  return rule == ExitRule::argmax_stability ? 0 : 1e9;
}
double sometimes(ExitRule rule) {
  switch (rule) {
    case ExitRule::argmax_stability:
      return 2;
    case ExitRule::cosine:
      return 0.08;
    case ExitRule::latent:
    case ExitRule::latent_diff:
      return 0.4;
    default:
      return 0.02;
  }
}

class ExitOf : public testing::TestWithParam<std::tuple<NamedConfig, ExitRule>> {
 protected:
  static Model model(ModelConfig config) {
    config.init_std = 0.2;
    return sample_model(config);
  }
};

TEST_P(ExitOf, AThresholdThatNothingMeetsChangesNothing) {
  const auto& [named, rule] = GetParam();
  const Model model = this->model(named.config);
  const Steps want = steps(model, exiting(ExitRule::none, 0));
  const Steps got = steps(model, exiting(rule, never(rule)));
  EXPECT_EQ(got.logits, want.logits);
  EXPECT_EQ(got.loops_run, want.loops_run);
}

TEST_P(ExitOf, ALooseThresholdStopsEveryTokenAsSoonAsItMay) {
  const auto& [named, rule] = GetParam();
  const Steps got = steps(model(named.config), exiting(rule, always(rule)));
  // The first loop has no distribution before it, or no state that it could change.
  const bool from_zero =
      rule == ExitRule::latent && named.config.initial_state == InitialState::zero;
  for (const int64_t loops : got.loops_run) {
    EXPECT_EQ(loops, rule == ExitRule::kl || from_zero ? 2 : 1);
  }
}

// What the rule compares with its threshold after 1 … kLoops loops of one token, from the plain
// model; infinite where the rule may not stop.
std::vector<double> changes(const Model& model, uint32_t id, ExitRule rule) {
  const at::NoGradGuard no_grad;
  const Weights weights = make_weights(model.config, model.parameters, at::kFloat);
  const Tensor ids = at::full({1, 1}, static_cast<int64_t>(id));
  std::vector<double> out(kLoops, INFINITY);
  std::vector<Tensor> scores;
  for (int64_t loops = 1; loops <= kLoops; ++loops) {
    ForwardOptions options;
    options.loops = loops;
    if (compares_states(rule)) {
      options.observer = [&](int64_t t, const Tensor& before, const Tensor& after) {
        if (rule == ExitRule::latent && before.norm().item<double>() == 0) return;
        out[static_cast<size_t>(t)] = state_criterion(rule, before, after).item<double>();
      };
    }
    scores.push_back(
        logits(weights, forward(model.config, weights, ids, options).hidden).flatten());
  }
  Tensor last;
  for (size_t t = 0; compares_outputs(rule) && t < kLoops; ++t) {
    last = output_criterion(rule, t > 0 ? scores[t - 1] : Tensor(), scores[t], last);
    out[t] = last.item<double>();
  }
  return out;
}

// Thresholds a little above and below each value that the rule meets.
TEST_P(ExitOf, TheFirstChangeBelowTheThresholdStopsAToken) {
  const auto& [named, rule] = GetParam();
  if (named.config.halting != Halting::none) {
    GTEST_SKIP() << "the halting head takes part in the output";
  }
  const Model model = this->model(named.config);
  const std::vector<double> change = changes(model, 3, rule);
  for (const double value : change) {
    if (!std::isfinite(value)) continue;
    for (const double factor : {0.97, 1.03}) {
      const double threshold = value * factor;
      const auto first = std::find_if(change.begin(), change.end(), [&, rule = rule](double x) {
        return meets(rule, x, threshold);
      });
      const int64_t want = std::min<int64_t>(first - change.begin() + 1, kLoops);
      EXPECT_EQ(steps(model, exiting(rule, threshold)).loops_run[0], want) << threshold;
    }
  }
}

TEST_P(ExitOf, RowsAtFullDepthDoNotExit) {
  const auto& [named, rule] = GetParam();
  const Model model = this->model(named.config);
  const Steps want = steps(model, exiting(ExitRule::none, 0));
  const Steps got = steps(model, exiting(rule, always(rule)), /*full_depth=*/true);
  EXPECT_EQ(got.logits, want.logits);
  EXPECT_EQ(got.loops_run, want.loops_run);
}

// A sequence that exits beside one that does not.
TEST_P(ExitOf, CompanyAtFullDepthDoesNotMatter) {
  const auto& [named, rule] = GetParam();
  const Model model = this->model(named.config);
  const double threshold = sometimes(rule);
  const Steps deep = steps(model, exiting(rule, threshold), true);
  const Steps alone = steps(model, exiting(rule, threshold));
  Decoder decoder(model, exiting(rule, threshold));
  const auto a = decoder.make_cache(kLoops, 4), b = decoder.make_cache(kLoops, 4);
  const auto vocab = static_cast<size_t>(model.config.vocab_size);
  for (int64_t i = 0; i < kTokens; ++i) {
    const auto id = static_cast<uint32_t>((7 * i * i + 3) % model.config.vocab_size);
    std::vector<float> logits[2] = {std::vector<float>(vocab), std::vector<float>(vocab)};
    Decoder::Row rows[2] = {{a.get(), id, 0, logits[0].data(), 0, false},
                            {b.get(), id, 0, logits[1].data(), 0, true}};
    decoder.step(rows);
    const auto at = static_cast<size_t>(i);
    EXPECT_EQ(logits[0], alone.logits[at]) << i;
    EXPECT_EQ(rows[0].loops_run, alone.loops_run[at]) << i;
    EXPECT_EQ(logits[1], deep.logits[at]) << i;
  }
}

// Under `act` halted tokens stop whatever the rule; the public reference's go on being computed,
// though their outputs no longer change.
TEST(ExitByHalting, StopsTokensThatTheHeadHasHalted) {
  for (const NamedConfig& named : all_mechanisms()) {
    if (named.config.halting == Halting::none) continue;
    ModelConfig config = named.config;
    config.init_std = 0.2;
    config.act_threshold = 0.6;
    const Model model = sample_model(config);
    const Steps want = steps(model, exiting(ExitRule::none, 0));
    const Steps got = steps(model, exiting(ExitRule::halting, 0));
    EXPECT_TRUE(std::any_of(got.loops_run.begin(), got.loops_run.end(), [](int64_t loops) {
      return loops < kLoops;
    })) << named.name;
    EXPECT_EQ(got.logits[0], want.logits[0]) << named.name;
    if (config.halting == Halting::act) {
      EXPECT_EQ(got.logits, want.logits) << named.name;
      EXPECT_EQ(got.loops_run, want.loops_run) << named.name;
    } else {
      EXPECT_EQ(want.loops_run, std::vector<int64_t>(kTokens, kLoops)) << named.name;
    }
  }
}

// A gate's tokens leave in the first loop by which they have left with the threshold's probability,
// and not before min_halt_loops; what they give is the state of that loop, not a mixture.
TEST(ExitByHalting, ReadsOutTheStateAtWhichAGateLeaves) {
  ModelConfig config = small_config();
  config.halting = Halting::gate;
  config.init_std = 0.2;
  config.act_threshold = 0.7;
  for (const int64_t min_loops : {1, 2}) {
    config.min_halt_loops = min_loops;
    Model model = sample_model(config);
    Tensor(model.parameters.at("recurrent.halt.weight")).detach().zero_();
    // Each loop leaves half of those that are left: 0.5, 0.75.
    Tensor(model.parameters.at("recurrent.halt.bias")).detach().zero_();
    const int64_t loops = min_loops + 1;
    const Steps got = steps(model, exiting(ExitRule::halting, 0));
    EXPECT_EQ(got.loops_run, std::vector<int64_t>(kTokens, std::min(loops, kLoops)));
    // The first token sees no other: its logits are those of a model of as many loops.
    const at::NoGradGuard no_grad;
    const Weights weights = make_weights(config, model.parameters, at::kFloat);
    ForwardOptions options;
    options.loops = loops;
    const Tensor id = at::full({1, 1}, 3 % config.vocab_size, at::kLong);
    const Tensor want = logits(weights, forward(config, weights, id, options).hidden)[0][0];
    for (int64_t i = 0; i < config.vocab_size; ++i) {
      ASSERT_NEAR(got.logits[0][static_cast<size_t>(i)], want[i].item<float>(), 2e-3);
    }
  }
}

// Each loop leaves half of those that are left: 0.5, 0.75, 0.875, 0.9375; a quantile of 1 is that
// of the last loop.
TEST(ExitByGate, StopsAtTheFirstLoopThatReachesTheQuantile) {
  ModelConfig config = small_config();
  config.halting = Halting::gate;
  config.init_std = 0.2;
  Model model = sample_model(config);
  Tensor(model.parameters.at("recurrent.halt.weight")).detach().zero_();
  Tensor(model.parameters.at("recurrent.halt.bias")).detach().zero_();
  for (const auto& [quantile, loops] :
       {std::pair(0.0, 1), {0.4, 1}, {0.7, 2}, {0.8, 3}, {0.9, 4}, {0.99, 5}, {1.0, 5}}) {
    for (const bool native : {true, false}) {
      Decoder::Options options = exiting(ExitRule::gate, -1);
      options.exit_quantile = quantile;
      options.native = native;
      EXPECT_EQ(steps(model, options).loops_run, std::vector<int64_t>(kTokens, loops)) << quantile;
    }
  }
}

// A gate that is certain: the sum is rounded to 1 after the first loop.
TEST(ExitByGate, AQuantileOf1IsAllLoops) {
  ModelConfig config = small_config();
  config.halting = Halting::gate;
  Model model = sample_model(config);
  Tensor(model.parameters.at("recurrent.halt.bias")).detach().fill_(40);
  for (const bool native : {true, false}) {
    Decoder::Options options = exiting(ExitRule::gate, -1);
    options.native = native;
    EXPECT_EQ(steps(model, options).loops_run, std::vector<int64_t>(kTokens, kLoops));
    options.exit_quantile = 0.999;
    EXPECT_EQ(steps(model, options).loops_run, std::vector<int64_t>(kTokens, 1));
  }
}

TEST(ExitByGate, NeedsAGate) {
  for (const Halting halting : {Halting::none, Halting::act}) {
    ModelConfig config = small_config();
    config.halting = halting;
    const Model model = sample_model(config);
    try {
      const Decoder decoder(model, exiting(ExitRule::gate, -1));
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_TRUE(error.message().starts_with("exit by gate: the model has no gate of exits"));
    }
  }
}

// Tensors, which serve every device, against the program of rows: depths, logits and what the
// tokens that stopped leave in every kind of cache.
class ExitOnDevice : public OnDeviceTest<NamedConfig> {};

// The mechanisms, and heads that read out one state or wait for some loops.
std::vector<NamedConfig> exit_mechanisms() {
  std::vector<NamedConfig> out = all_mechanisms();
  const auto add = [&](const std::string& name, Halting halting, int64_t min_loops) {
    out.push_back({name, small_config()});
    out.back().config.halting = halting;
    out.back().config.min_halt_loops = min_loops;
  };
  add("gate", Halting::gate, 1);
  add("gate_from_loop_2", Halting::gate, 2);
  add("act_from_loop_2", Halting::act, 2);
  return out;
}

// The tokens of steps() in one step.
Steps together(const Model& model, const Decoder::Options& options) {
  Decoder decoder(model, options);
  const auto cache = decoder.make_cache(kLoops, 4);
  Steps out;
  out.logits.assign(kTokens, std::vector<float>(static_cast<size_t>(model.config.vocab_size)));
  std::vector<Decoder::Row> rows;
  for (int64_t i = 0; i < kTokens; ++i) {
    const auto id = static_cast<uint32_t>((7 * i * i + 3) % model.config.vocab_size);
    rows.push_back({cache.get(), id, 0, out.logits[static_cast<size_t>(i)].data()});
  }
  decoder.step(rows);
  for (const Decoder::Row& row : rows) out.loops_run.push_back(row.loops_run);
  return out;
}

void expect_alike(const Steps& got, const Steps& want, const std::string& what) {
  EXPECT_EQ(got.loops_run, want.loops_run) << what;
  for (size_t i = 0; i < want.logits.size(); ++i) {
    for (size_t j = 0; j < want.logits[i].size(); ++j) {
      ASSERT_NEAR(got.logits[i][j], want.logits[i][j], 2e-3) << what << ", token " << i;
    }
  }
}

TEST_P(ExitOnDevice, TensorsStopTokensAsRowsDo) {
  ModelConfig config = value().config;
  config.init_std = 0.2;
  config.act_threshold = 0.7;
  const Model model = sample_model(config), there = sample_model(config, 3, device_);
  for (size_t i = 1; i < EnumNames<ExitRule>::names.size(); ++i) {
    const auto rule = static_cast<ExitRule>(i);
    if (rule == ExitRule::halting && config.halting == Halting::none) continue;
    if (rule == ExitRule::gate && config.halting != Halting::gate) continue;
    for (const CacheSharing sharing : {CacheSharing::per_loop, CacheSharing::last_loop,
                                       CacheSharing::average, CacheSharing::modulo}) {
      Decoder::Options options = exiting(rule, sometimes(rule));
      options.exit_quantile = 0.7;
      options.cache.sharing = sharing;
      options.cache.modulo = 2;
      Decoder::Options tensors = options;
      tensors.native = false;
      const std::string what = std::string(enum_name(rule)) + " " + std::string(enum_name(sharing));
      expect_alike(steps(there, tensors), steps(model, options), what);
      // Rows give company the mean as soon as a token stops, tensors after the pass.
      if (sharing == CacheSharing::average) continue;
      expect_alike(together(there, tensors), together(model, options), what + " together");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, ExitOnDevice,
                         testing::ValuesIn(on_each_device(exit_mechanisms())),
                         [](const auto& info) {
                           return info.param.device + "_" + info.param.value.name;
                         });

INSTANTIATE_TEST_SUITE_P(
    Mechanisms, ExitOf,
    testing::Combine(testing::ValuesIn(all_mechanisms()),
                     testing::Values(ExitRule::latent, ExitRule::kl, ExitRule::entropy_diff,
                                     ExitRule::latent_diff, ExitRule::cosine, ExitRule::huginn_kl,
                                     ExitRule::minp_kl, ExitRule::argmax_stability)),
    [](const auto& info) {
      std::string name =
          std::get<0>(info.param).name + "_" + std::string(enum_name(std::get<1>(info.param)));
      std::ranges::replace(name, '-', '_');
      return name;
    });

}  // namespace
}  // namespace mythos
