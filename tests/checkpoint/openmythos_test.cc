#include "checkpoint/openmythos.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include "../scratch.h"
#include "arch/tensors.h"
#include "checkpoint/safetensors.h"
#include "config/config.h"
#include "sample.h"

namespace mythos {
namespace {

struct Golden {
  ModelConfig config;
  TensorMap weights, gradients;
};

Golden load_golden(const std::string& name) {
  const fs::path base = fs::path(MYTHOS_SOURCE_DIR) / "tests/golden/openmythos" / name;
  const auto json = nlohmann::json::parse(read_file(base.string() + ".json"));
  Golden golden{model_config_from_openmythos(json["config"], name), {}, {}};
  const std::string grad = "golden.grad.";
  for (const auto& [key, tensor] : read_safetensors(base.string() + ".safetensors").tensors) {
    if (key.starts_with(grad)) {
      golden.gradients[key.substr(grad.size())] = tensor;
    } else if (!key.starts_with("golden.")) {
      golden.weights[key] = tensor;
    }
  }
  return golden;
}

// Weights whose every element is different, under the reference's names.
TensorMap numbered_reference(const ModelConfig& config) {
  TensorMap native;
  int64_t next = 0;
  for (const TensorDeclaration& spec : declared_tensors(config)) {
    native[spec.name] = at::arange(next, next + spec.numel()).reshape(spec.shape);
    next += spec.numel();
  }
  return to_openmythos(config, native);
}

class GoldenMap : public testing::TestWithParam<std::string> {};

TEST_P(GoldenMap, NativeNamesAreTheParametersAndTheWayBackIsExact) {
  const Golden golden = load_golden(GetParam());
  const TensorMap native = from_openmythos(golden.config, golden.weights, "golden");
  const auto specs = declared_tensors(golden.config);
  ASSERT_EQ(native.size(), specs.size());
  for (const TensorDeclaration& spec : specs) {
    ASSERT_EQ(native.count(spec.name), 1u) << spec.name;
    EXPECT_EQ(native.at(spec.name).sizes(), at::IntArrayRef(spec.shape)) << spec.name;
  }
  expect_equal(to_openmythos(golden.config, native), golden.weights);
}

TEST_P(GoldenMap, HoldsForGradients) {
  Golden golden = load_golden(GetParam());
  // The bias of the router is a buffer: it has no gradient.
  const std::string bias = "recurrent.block.ffn.router_bias";
  golden.gradients[bias] = at::zeros_like(golden.weights.at(bias));
  const TensorMap native = from_openmythos(golden.config, golden.gradients, "golden");
  expect_equal(to_openmythos(golden.config, native), golden.gradients);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenMap, testing::Values("gqa_small", "mla_small"));

TEST(OpenMythosMap, PacksMlaAsDocumented) {
  const ModelConfig c = sample_config();
  const TensorMap reference = numbered_reference(c);
  const TensorMap native = from_openmythos(c, reference, "test");
  const std::string layer = "recurrent.block.attn.";
  EXPECT_TRUE(at::equal(
      native.at("core.0.attn.down.weight"),
      at::cat({reference.at(layer + "q_down.weight"), reference.at(layer + "kv_down.weight")})));
  // Head 1: its nope rows, then its rope rows.
  const at::Tensor q_up = native.at("core.0.attn.q_up.weight");
  EXPECT_TRUE(
      at::equal(q_up.slice(0, 5, 8), reference.at(layer + "q_up_nope.weight").slice(0, 3, 6)));
  EXPECT_TRUE(
      at::equal(q_up.slice(0, 8, 10), reference.at(layer + "q_up_rope.weight").slice(0, 2, 4)));
}

TEST(OpenMythosMap, PacksGqaAsDocumented) {
  ModelConfig c = sample_config();
  c.attention = Attention::gqa;
  const TensorMap reference = numbered_reference(c);
  const TensorMap native = from_openmythos(c, reference, "test");
  EXPECT_TRUE(at::equal(
      native.at("prelude.0.attn.qkv.weight"),
      at::cat({reference.at("prelude.0.attn.wq.weight"), reference.at("prelude.0.attn.wk.weight"),
               reference.at("prelude.0.attn.wv.weight")})));
}

TEST(OpenMythosMap, PacksExpertsAsDocumented) {
  const ModelConfig c = sample_config();
  const TensorMap reference = numbered_reference(c);
  const TensorMap native = from_openmythos(c, reference, "test");
  const std::string ffn = "recurrent.block.ffn.";
  const auto at = [&](const std::string& name) { return reference.at(ffn + name + ".weight"); };
  EXPECT_TRUE(at::equal(native.at("core.0.ffn.experts.gate_up")[2],
                        at::cat({at("routed_experts.2.gate"), at("routed_experts.2.up")})));
  EXPECT_TRUE(at::equal(native.at("core.0.ffn.experts.down")[1], at("routed_experts.1.down")));
  EXPECT_TRUE(at::equal(native.at("core.0.ffn.shared.gate_up.weight"),
                        at::cat({at("shared_experts.0.gate"), at("shared_experts.1.gate"),
                                 at("shared_experts.0.up"), at("shared_experts.1.up")})));
  EXPECT_TRUE(at::equal(native.at("core.0.ffn.shared.down.weight"),
                        at::cat({at("shared_experts.0.down"), at("shared_experts.1.down")}, 1)));
  expect_equal(to_openmythos(c, native), reference);
}

TEST(OpenMythosMap, IgnoresTablesAndTheTiedHead) {
  const ModelConfig c = sample_config();
  TensorMap reference = numbered_reference(c);
  reference["freqs_cis"] = at::zeros(3);
  reference["freqs_cis_mla"] = at::zeros(3);
  reference["head.weight"] = reference["embed.weight"].clone();
  EXPECT_EQ(from_openmythos(c, reference, "test").size(), declared_tensors(c).size());
  // Another type or a value that is not a number does not make another head.
  reference["embed.weight"] = reference["embed.weight"].to(at::kFloat);
  reference["embed.weight"][0][0] = NAN;
  reference["head.weight"] = reference["embed.weight"].to(at::kDouble);
  EXPECT_EQ(from_openmythos(c, reference, "test").size(), declared_tensors(c).size());
  reference["head.weight"] = reference["embed.weight"].slice(0, 1);
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { from_openmythos(c, reference, "f.st"); }),
                       "f.st: tensor 'head.weight' differs"));
  reference["head.weight"] = reference["embed.weight"].clone();
  reference["head.weight"] += 1;
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { from_openmythos(c, reference, "f.st"); }),
                       "f.st: tensor 'head.weight' differs"));
}

TEST(OpenMythosMap, NamesWhatIsWrong) {
  const ModelConfig c = sample_config();
  const TensorMap whole = numbered_reference(c);
  TensorMap reference = whole;
  const auto message = [&] {
    return error_of(ErrorKind::data, [&] { from_openmythos(c, reference, "f.st"); });
  };
  reference.erase("recurrent.block.ffn.routed_experts.1.up.weight");
  EXPECT_TRUE(contains(message(),
                       "f.st: tensor 'recurrent.block.ffn.routed_experts.1.up.weight' "
                       "of shape [4,16] is missing"));
  reference = whole;
  reference["recurrent.lora.B"] = at::zeros({2, 2});
  EXPECT_TRUE(contains(message(),
                       "'recurrent.lora.B' has shape [2,2]; this configuration expects "
                       "[8,16]"));
  reference = whole;
  reference["coda.0.attn.q_dwn.weight"] = at::zeros(1);
  EXPECT_TRUE(contains(message(),
                       "'coda.0.attn.q_dwn.weight' does not belong to this "
                       "configuration. Did you mean 'coda.0.attn.q_down.weight'?"));
}

TEST(OpenMythosMap, RefusesMechanismsTheReferenceLacks) {
  const auto message = [](const std::function<void(ModelConfig&)>& change) {
    ModelConfig c = sample_config();
    change(c);
    return error_of(ErrorKind::usage, [&] { to_openmythos(c, numbered_reference(c)); });
  };
  const auto names = [&](const std::function<void(ModelConfig&)>& change, const char* tensor) {
    return contains(message(change), std::string("no counterpart of tensor '") + tensor + "'");
  };
  EXPECT_TRUE(names([](auto& c) { c.prelude_norm = true; }, "prelude_norm.weight"));
  EXPECT_TRUE(names([](auto& c) { c.core_layers = 2; }, "core.1.attn_norm.weight"));
  EXPECT_TRUE(names([](auto& c) { c.ffn = FeedForward::dense; }, "core.0.ffn.gate_up.weight"));
  EXPECT_TRUE(names([](auto& c) { c.tied_head = false; }, "head.weight"));
  EXPECT_TRUE(names([](auto& c) { c.injection = Injection::zoh; }, "recurrent.injection.log_a"));
  EXPECT_TRUE(names(
      [](auto& c) {
        c.attention = Attention::gqa;
        c.qk_norm = true;
      },
      "prelude.0.attn.q_norm.weight"));
}

}  // namespace
}  // namespace mythos
