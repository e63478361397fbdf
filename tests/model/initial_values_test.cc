#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "model/weights.h"
#include "sample_model.h"

namespace mythos {
namespace {

double root_mean_square(const Tensor& values) {
  return values.detach().to(at::kDouble).square().mean().sqrt().item<double>();
}

// How far the rows or columns, the fewer, are from being orthogonal and of one length.
double skewness(const Tensor& matrix) {
  const Tensor wide = matrix.detach().to(at::kDouble);
  const Tensor gram = wide.size(0) <= wide.size(1) ? wide.mm(wide.t()) : wide.t().mm(wide);
  const double square = gram.diagonal().mean().item<double>();
  return (gram / square - at::eye(gram.size(0), at::kDouble)).abs().max().item<double>();
}

struct InitialValues : testing::Test {
  ModelConfig config = sample();
  static ModelConfig sample() {
    ModelConfig config = small_config();
    config.core_layers = 2;
    config.ffn = FeedForward::moe;
    return config;
  }
};

TEST_F(InitialValues, OrthogonalMatricesAreSoPartByPartAndExpertByExpert) {
  config.matrix_init = MatrixInit::orthogonal;
  const Model model = sample_model(config);
  const auto at = [&](const std::string& name) { return model.parameters.at(name).detach(); };
  for (const Parameters::Item& item : model.parameters.items()) {
    if (!is_hidden_matrix(item) || item.init != Init::normal) continue;
    EXPECT_NEAR(root_mean_square(item.tensor), config.init_std, 1e-6) << item.name;
  }
  EXPECT_LT(skewness(at("core.0.attn.wo.weight")), 1e-5);
  EXPECT_LT(skewness(at("prelude.0.ffn.down.weight")), 1e-5);
  const Tensor down = at("core.1.attn.down.weight");  // query latent, key/value latent, rotated key
  EXPECT_LT(skewness(down.narrow(0, 0, config.q_lora_rank)), 1e-5);
  EXPECT_LT(skewness(down.narrow(0, config.q_lora_rank, config.kv_lora_rank)), 1e-5);
  EXPECT_GT(skewness(down), 1e-2);
  const Tensor gate_up = at("core.0.ffn.experts.gate_up");
  for (int64_t e = 0; e < config.n_experts; ++e) {
    EXPECT_LT(skewness(gate_up[e].narrow(0, 0, config.expert_dim)), 1e-5);
    EXPECT_LT(skewness(gate_up[e].narrow(0, config.expert_dim, config.expert_dim)), 1e-5);
  }
  EXPECT_FALSE(at::equal(gate_up[0], gate_up[1]));
  // Embedding and router stay as they were.
  const Model normal = sample_model(sample());
  for (const char* name : {"embed.weight", "core.0.ffn.router.weight", "recurrent.lora.B"}) {
    EXPECT_TRUE(at::equal(at(name), normal.parameters.at(name))) << name;
  }
}

TEST_F(InitialValues, TheSeedDecidesOrthogonalMatrices) {
  config.matrix_init = MatrixInit::orthogonal;
  const Model a = sample_model(config, 5), b = sample_model(config, 5), c = sample_model(config, 6);
  const char* name = "core.0.attn.wo.weight";
  EXPECT_TRUE(at::equal(a.parameters.at(name), b.parameters.at(name)));
  EXPECT_GT((a.parameters.at(name) - c.parameters.at(name)).abs().max().item<float>(), 1e-3);
}

TEST_F(InitialValues, ResidualInitTouchesWhatWritesIntoTheResidualStreamAlone) {
  const Model normal = sample_model(config);
  config.residual_init = ResidualInit::zero;
  const Model zero = sample_model(config);
  config.residual_init = ResidualInit::scaled;
  const Model scaled = sample_model(config);
  const double layers = 4;  // a prelude layer, two of the core and a coda layer
  int64_t writing = 0;
  for (const Parameters::Item& item : normal.parameters.items()) {
    const Tensor here = zero.parameters.at(item.name), there = scaled.parameters.at(item.name);
    const bool writes = item.name.find("wo.weight") != std::string::npos ||
                        item.name.find("ffn.down.weight") != std::string::npos ||
                        item.name.find("shared.down.weight") != std::string::npos ||
                        item.name.find("experts.down") != std::string::npos;
    EXPECT_EQ(item.writes_residual, writes) << item.name;
    if (!writes) {
      EXPECT_TRUE(at::equal(here, item.tensor) && at::equal(there, item.tensor)) << item.name;
      continue;
    }
    ++writing;
    EXPECT_EQ(here.abs().max().item<float>(), 0) << item.name;
    const double loops = item.name.starts_with("core.") ? 3 : 1;
    const Tensor expected = item.tensor / (loops * std::sqrt(layers));
    EXPECT_TRUE(at::allclose(there, expected, 1e-6, 0)) << item.name;
  }
  EXPECT_EQ(writing, 2 + 2 * 3 + 2);
}

// Zero matrices at the ends of the sublayers have gradients, from which all others follow.
TEST_F(InitialValues, ZeroResidualMatricesLearn) {
  config.residual_init = ResidualInit::zero;
  const Model model = sample_model(config);
  const Tensor ids = sample_ids(config, 2, 5);
  const Weights weights = make_weights(config, model.parameters, at::kFloat);
  loss_sum(weights, forward(config, weights, ids).hidden, ids).backward();
  EXPECT_GT(model.parameters.at("core.0.attn.wo.weight").grad().abs().max().item<float>(), 0);
  EXPECT_EQ(model.parameters.at("core.0.attn.q_up.weight").grad().abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace mythos
