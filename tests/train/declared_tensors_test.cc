// A tensor is declared once, in its part: everything that goes through all tensors reaches it.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "../model/sample_model.h"
#include "arch/plan.h"
#include "checkpoint/exchange.h"
#include "train/optimizer.h"

namespace mythos {
namespace {

class DeclaredTensors : public testing::TestWithParam<NamedConfig> {
 protected:
  // f(declaration) for all of them.
  template <class F>
  void each(F&& f) const {
    for (const TensorDeclaration& tensor : declared_tensors(config_)) f(tensor);
  }
  const ModelConfig config_ = GetParam().config;
  Model model_ = sample_model(config_);
};

TEST_P(DeclaredTensors, AreTheStoredOnes) {
  size_t i = 0;
  each([&](const TensorDeclaration& tensor) {
    ASSERT_LT(i, model_.parameters.items().size());
    const Parameters::Item& item = model_.parameters.items()[i++];
    EXPECT_EQ(item.name, tensor.name);
    EXPECT_EQ(item.tensor.sizes(), at::IntArrayRef(tensor.shape)) << tensor.name;
    EXPECT_EQ(item.tensor.requires_grad(), is_trained(tensor.use)) << tensor.name;
  });
  EXPECT_EQ(i, model_.parameters.items().size());
}

TEST_P(DeclaredTensors, AreCountedByThePlan) {
  int64_t trained = 0, buffers = 0, bytes = 0;
  each([&](const TensorDeclaration& tensor) {
    (is_trained(tensor.use) ? trained : buffers) += tensor.numel();
    bytes += tensor.numel() * (is_cast(tensor.use) ? 2 : 4);
  });
  const Plan plan = make_plan(config_, 1, 0);
  EXPECT_EQ(plan.parameters, trained);
  EXPECT_EQ(plan.buffers, buffers);
  EXPECT_EQ(weight_bytes(config_, /*bf16=*/true), bytes);
  const Weights weights = make_weights(config_, model_.parameters, at::kBFloat16);
  EXPECT_EQ(size_bytes(config_, weights), bytes);
}

TEST_P(DeclaredTensors, AreCastByTheirUse) {
  const Weights weights = make_weights(config_, model_.parameters, at::kBFloat16);
  std::set<std::string> seen;
  Weights::visit(weights, config_, [&](const Matrix& member, const TensorDeclaration& tensor) {
    seen.insert(tensor.name);
    ASSERT_TRUE(member.defined()) << tensor.name;
    const at::ScalarType type = is_cast(tensor.use) ? at::kBFloat16 : at::kFloat;
    EXPECT_TRUE(at::equal(member.values, model_.parameters.at(tensor.name).to(type)))
        << tensor.name;
  });
  EXPECT_EQ(seen.size(), model_.parameters.items().size());
  const Model copy = rounded(model_, at::kBFloat16);
  each([&](const TensorDeclaration& tensor) {
    const Tensor value = model_.parameters.at(tensor.name);
    const Tensor want = is_cast(tensor.use) ? value.to(at::kBFloat16).to(at::kFloat) : value;
    EXPECT_TRUE(at::equal(copy.parameters.at(tensor.name), want)) << tensor.name;
  });
}

TEST_P(DeclaredTensors, AreRoundedByTheirUse) {
  const Weights weights = make_inference_weights(config_, std::move(model_.parameters), at::kFloat,
                                                 WeightFormat::int4);
  int64_t bytes = 0;
  Weights::visit(weights, config_, [&](const Matrix& member, const TensorDeclaration& tensor) {
    const WeightFormat format = !is_rounded(tensor.use)   ? WeightFormat::plain
                                : tensor.use == Use::head ? WeightFormat::int8
                                                          : WeightFormat::int4;
    EXPECT_EQ(member.format, format) << tensor.name;
    bytes += member.size_bytes();
  });
  EXPECT_EQ(weights.head.format, WeightFormat::int8);
  if (config_.tied_head) bytes += weights.head.size_bytes();
  EXPECT_EQ(size_bytes(config_, weights), bytes);
}

// Without gradients an update is weight decay alone.
TEST_P(DeclaredTensors, AreUpdatedByTheirUse) {
  TrainConfig train;
  train.lr = 1;
  train.weight_decay = 0.5;
  GroupedOptimizer optimizer(model_.parameters, train);
  const Model before = sample_model(config_);
  optimizer.step(1);
  std::set<std::string> states;
  for (const auto& [name, value] : optimizer.state()) states.insert(name);
  size_t trained = 0;
  each([&](const TensorDeclaration& tensor) {
    const Tensor value = before.parameters.at(tensor.name);
    const Tensor want = is_decayed(tensor.use) ? 0.5 * value : value;
    EXPECT_TRUE(at::allclose(model_.parameters.at(tensor.name), want)) << tensor.name;
    trained += is_trained(tensor.use);
    EXPECT_EQ(states.count("exp_avg." + tensor.name), is_trained(tensor.use)) << tensor.name;
  });
  EXPECT_EQ(states.size(), 2 * trained + 1);
}

// What a recomputed loop or block reads without naming it as an input would get no gradient.
TEST_P(DeclaredTensors, GetTheirGradientsUnderRecomputation) {
  const Tensor ids = sample_ids(config_, 2, 9), targets = ids.roll(-1, 1);
  std::map<std::string, Tensor> want;
  for (const Recompute recompute : {Recompute::none, Recompute::block, Recompute::loop}) {
    ForwardOptions options;
    options.recompute = recompute;
    const Weights weights = make_weights(config_, model_.parameters, at::kFloat);
    const ForwardResult result = forward(config_, weights, ids, options);
    Tensor loss = loss_sum(weights, result.hidden, targets);
    if (result.ponder.defined()) loss = loss + result.ponder.sum();
    loss.backward();
    for (const Parameters::Item& item : model_.parameters.items()) {
      if (!is_trained(item.use)) continue;
      Tensor parameter = item.tensor;
      ASSERT_TRUE(parameter.grad().defined()) << item.name;
      if (recompute == Recompute::none) want[item.name] = parameter.grad();
      EXPECT_TRUE(at::allclose(parameter.grad(), want[item.name], 1e-4, 1e-6)) << item.name;
      parameter.mutable_grad() = Tensor();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, DeclaredTensors, testing::ValuesIn(all_mechanisms()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace mythos
