#include "model/weights.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "../device.h"
#include "base/error.h"
#include "base/rng.h"
#include "sample_model.h"

namespace mythos {
namespace {

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    return error.what();
  }
  return "";
}

std::map<std::string, Tensor> values_of(const Model& model) {
  std::map<std::string, Tensor> values;
  for (const auto& item : model.parameters.items())
    values[item.name] = item.tensor.detach().clone();
  return values;
}

TEST(Parameters, InitialValuesFollowTheirRule) {
  const ModelConfig config = small_config();
  const Model model = sample_model(config);
  const Tensor embed = model.parameters.at("embed.weight").detach();
  EXPECT_NEAR(embed.std().item<double>(), config.init_std, 0.1 * config.init_std);
  EXPECT_NEAR(embed.mean().item<double>(), 0, 0.1 * config.init_std);
  EXPECT_EQ(model.parameters.at("norm.weight").min().item<float>(), 1);
  EXPECT_FLOAT_EQ(model.parameters.at("recurrent.injection.B").max().item<float>(), 0.1f);
  EXPECT_FALSE(model.parameters.at("core.0.ffn.router_bias").requires_grad());
}

TEST(Parameters, TheSeedDecidesEveryValue) {
  const ModelConfig config = small_config();
  const Model a = sample_model(config, 5), b = sample_model(config, 5), c = sample_model(config, 6);
  for (const auto& item : a.parameters.items()) {
    EXPECT_TRUE(at::equal(item.tensor, b.parameters.at(item.name))) << item.name;
  }
  EXPECT_FALSE(at::equal(a.parameters.at("embed.weight"), c.parameters.at("embed.weight")));
}

// Values of a seed are what runs and their resumption rest on: written out plainly here.
TEST(Parameters, NormalValuesAreAFunctionOfSeedNameAndPlaceAlone) {
  ModelConfig config = small_config();
  config.vocab_size = 4001;  // an odd count, beyond what one thread takes at a time
  config.dim = 25;
  config.n_heads = 5;
  const int threads = at::get_num_threads();
  at::set_num_threads(3);
  const Model model = sample_model(config, 7);
  at::set_num_threads(threads);
  ASSERT_EQ(model.parameters.items()[0].name, "embed.weight");
  const Tensor embed = model.parameters.at("embed.weight").detach().view(-1);
  Rng rng(7, 0);
  for (int64_t i = 0; i < embed.numel(); i += 2) {
    const double radius = config.init_std * std::sqrt(-2.0 * std::log(1.0 - rng.uniform()));
    const double angle = 2.0 * M_PI * rng.uniform();
    ASSERT_EQ(embed.const_data_ptr<float>()[i], static_cast<float>(radius * std::cos(angle))) << i;
    if (i + 1 == embed.numel()) break;
    ASSERT_EQ(embed.const_data_ptr<float>()[i + 1], static_cast<float>(radius * std::sin(angle)));
  }
}

TEST(Parameters, LoadNamesWhatDoesNotFit) {
  const ModelConfig config = small_config();
  Model model = sample_model(config);
  auto values = values_of(model);
  model.parameters.load(values, "f");  // as they are: nothing to say

  auto missing = values;
  missing.erase("norm.weight");
  EXPECT_NE(error_of([&] { model.parameters.load(missing, "f"); }).find("'norm.weight' is missing"),
            std::string::npos);
  auto shaped = values;
  shaped["norm.weight"] = at::zeros({3});
  EXPECT_NE(error_of([&] { model.parameters.load(shaped, "f"); }).find("shape [3], expected [24]"),
            std::string::npos);
  auto unknown = values;
  unknown["nrom.weight"] = at::zeros({3});
  EXPECT_NE(
      error_of([&] { model.parameters.load(unknown, "f"); }).find("Did you mean 'norm.weight'"),
      std::string::npos);
}

class WeightsOn : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, WeightsOn, testing::ValuesIn(test_devices()), device_name);

TEST_P(WeightsOn, InitialValuesAreThoseOfTheCpu) {
  const ModelConfig config = small_config();
  const Model model = sample_model(config), there = sample_model(config, 3, device_);
  for (const auto& item : there.parameters.items()) {
    EXPECT_EQ(item.tensor.device(), device_) << item.name;
    EXPECT_TRUE(at::equal(item.tensor.cpu(), model.parameters.at(item.name))) << item.name;
  }
}

TEST_P(WeightsOn, MatricesAreCastAndSmallTensorsStayWide) {
  const ModelConfig config = small_config();
  const Model model = sample_model(config, 3, device_);
  const Weights weights = make_weights(config, model.parameters, at::kBFloat16);
  EXPECT_EQ(weights.embed.scalar_type(), at::kBFloat16);
  EXPECT_EQ(weights.core.layers[0].moe.down.values.scalar_type(), at::kBFloat16);
  EXPECT_EQ(weights.core.layers[0].moe.router.scalar_type(), at::kFloat);
  EXPECT_EQ(weights.norm.scalar_type(), at::kFloat);
  EXPECT_TRUE(weights.head.values.is_same(weights.embed));
}

// On a CUDA device the copies of hidden widths that its matrix units do not like are padded: here
// they are on the CPU. Outputs and gradients stay, and so do the parameters' shapes.
TEST(Weights, PaddedHiddenWidthsComputeTheSame) {
  ModelConfig dense = small_config();
  dense.ffn = FeedForward::dense;
  for (const ModelConfig& config : {small_config(), dense}) {
    const Model model = sample_model(config);
    const Tensor ids = sample_ids(config, 2, 9), targets = ids.roll(-1, 1);
    for (const Recompute recompute : {Recompute::none, Recompute::loop}) {
      ForwardOptions options;
      options.recompute = recompute;
      std::vector<Tensor> want;
      double loss = 0;
      for (const int64_t multiple : {1, 64}) {
        const Weights weights = make_weights(config, model.parameters, at::kFloat, multiple);
        const LayerWeights& first = weights.prelude[0];
        EXPECT_EQ(first.dense.gate_up.rows(), multiple == 1 ? 2 * config.dense_ffn_dim() : 128);
        EXPECT_EQ(first.dense.down.columns, multiple == 1 ? config.dense_ffn_dim() : 64);
        if (config.ffn == FeedForward::moe) {
          const LayerWeights& core = weights.core.layers[0];
          EXPECT_EQ(core.moe.shared.down.columns, multiple == 1 ? config.shared_ffn_dim() : 64);
          EXPECT_EQ(core.moe.down.columns, config.expert_dim) << "not a dense width";
        }
        const Tensor sum =
            loss_sum(weights, forward(config, weights, ids, options).hidden, targets);
        sum.backward();
        if (multiple == 1) loss = sum.item<double>();
        EXPECT_NEAR(sum.item<double>(), loss, 1e-5 * loss);
        size_t i = 0;
        for (const Parameters::Item& item : model.parameters.items()) {
          if (!is_trained(item.use)) continue;
          Tensor parameter = item.tensor;
          ASSERT_EQ(parameter.grad().sizes(), parameter.sizes()) << item.name;
          if (multiple == 1) want.push_back(parameter.grad());
          EXPECT_LE((parameter.grad() - want[i]).norm().item<double>(),
                    1e-5 * want[i].norm().item<double>() + 1e-12)
              << item.name;
          ++i;
          parameter.mutable_grad() = Tensor();
        }
      }
    }
  }
}

// Matrices that came in bf16 stay, and nothing but the order of sums changes.
TEST(Weights, KeptBf16ComputesAsItsFp32) {
  for (const bool tied : {false, true}) {
    ModelConfig config = small_config();
    config.attention = Attention::gqa;
    config.ffn = FeedForward::dense;
    config.tied_head = tied;
    const Model model = sample_model(config);
    std::map<std::string, Tensor> values;
    StoredTensors stored;
    for (const Parameters::Item& item : model.parameters.items()) {
      const Tensor narrow = item.tensor.detach().to(at::kBFloat16);
      values[item.name] = narrow.to(at::kFloat);
      stored[item.name] = [narrow] { return narrow; };
    }
    Model wide(config);
    wide.parameters.load(values, "bf16");
    for (const auto format : {WeightFormat::plain, WeightFormat::int8, WeightFormat::int4}) {
      const auto weights_of = [&](StoredBf16 kept) {
        return make_inference_weights(config, Parameters(config, at::kCPU, stored, "bf16"),
                                      at::kFloat, format, {}, kept);
      };
      const Weights kept = weights_of(StoredBf16::kept), cast = weights_of(StoredBf16::cast);
      const LayerWeights& layer = kept.core.layers[0];
      EXPECT_EQ(kept.compute_type, at::kFloat);
      EXPECT_EQ(kept.embed.scalar_type(), at::kBFloat16);
      EXPECT_EQ(cast.embed.scalar_type(), at::kFloat);
      EXPECT_EQ(kept.norm.scalar_type(), at::kFloat);
      if (format == WeightFormat::plain) {
        EXPECT_EQ(layer.dense.down.values.scalar_type(), at::kBFloat16);
        EXPECT_EQ(kept.head.values.scalar_type(), at::kBFloat16);
        EXPECT_LT(size_bytes(config, kept), 0.7 * static_cast<double>(size_bytes(config, cast)));
      }
      const at::NoGradGuard no_grad;
      const Tensor ids = sample_ids(config, 2, 9);
      const auto of = [&](const Weights& w) { return logits(w, forward(config, w, ids).hidden); };
      EXPECT_TRUE(of(kept).allclose(of(cast), 1e-5, 1e-5));
      if (format != WeightFormat::plain) continue;
      const Weights plain = make_weights(config, wide.parameters, at::kFloat);
      EXPECT_TRUE(of(kept).allclose(of(plain), 1e-5, 1e-5));
    }
  }
}

TEST(Weights, OnlyTheCpuKeepsBf16AndOnlyOfItself) {
  EXPECT_EQ(stored_bf16(ComputeType::automatic, at::kCPU), StoredBf16::kept);
  EXPECT_EQ(stored_bf16(ComputeType::fp32, at::kCPU), StoredBf16::cast);
  EXPECT_EQ(stored_bf16(ComputeType::bf16, at::kCPU), StoredBf16::cast);
  EXPECT_EQ(stored_bf16(ComputeType::automatic, at::kCUDA), StoredBf16::cast);
}

TEST(Weights, TheCpuComputesWithoutPadding) {
  ModelConfig config = small_config();
  config.ffn = FeedForward::dense;
  Model model = sample_model(config);
  const Weights training = make_weights(config, model.parameters, at::kBFloat16);
  EXPECT_EQ(training.core.layers[0].dense.gate_up.rows(), 2 * config.dense_ffn_dim());
  const Weights inference = make_inference_weights(config, std::move(model.parameters),
                                                   at::kBFloat16, WeightFormat::plain);
  EXPECT_EQ(inference.core.layers[0].dense.gate_up.rows(), 2 * config.dense_ffn_dim());
}

}  // namespace
}  // namespace mythos
