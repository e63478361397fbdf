#include "checkpoint/retrofit.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "../scratch.h"
#include "checkpoint/hf_config.h"
#include "sample.h"

namespace mythos {
namespace {

constexpr int64_t kStackLayers = 6;

// A model as published of six layers, and values for all of its tensors.
struct PlainStack {
  Config config;
  Model model;

  static nlohmann::json file_of(const std::string& family) {
    nlohmann::json file = sample_stack(family);
    file["num_hidden_layers"] = kStackLayers;
    return file;
  }
  explicit PlainStack(const std::string& family)
      : config(config_from_hf(file_of(family), "plain")), model(config.model) {
    const at::NoGradGuard no_grad;
    at::manual_seed(1);
    for (const auto& item : model.parameters.items()) {
      item.tensor.copy_(0.3 * at::randn(item.shape));
      if (item.init == Init::ones) item.tensor.add_(1);
    }
  }

  Model cut(const Retrofit& retrofit) const {
    Model looped(retrofitted(config, retrofit, "plain").model);
    const NamedTensors tensors =
        retrofitted(config.model, retrofit, named_tensors(model.parameters));
    looped.parameters.load(as_map(tensors), "looped");
    return looped;
  }
};

at::Tensor logits_at(const Model& model, int64_t loops) {
  const at::NoGradGuard no_grad;
  const at::Tensor ids = at::arange(24).mul(7).remainder(61).reshape({2, 12});
  const Weights weights = make_weights(model.config, model.parameters, at::kFloat);
  ForwardOptions options;
  options.loops = loops;
  return logits(weights, forward(model.config, weights, ids, options).hidden);
}

// The message of an error without its advice.
std::string refusal(ErrorKind kind, const std::function<void()>& body) {
  const std::string all = error_of(kind, body);
  return all.substr(0, all.find('\n'));
}

class RetrofitCase : public testing::TestWithParam<const char*> {};

TEST_P(RetrofitCase, OneLoopIsTheStackToTheBit) {
  const PlainStack plain(GetParam());
  const at::Tensor expected = logits_at(plain.model, 1);
  for (const char* sections : {"prelude=2,core=3,coda=1", "prelude=0,core=6,coda=0",
                               "coda=0,prelude=1,core=5", "prelude=0,core=1,coda=5"}) {
    const Model looped = plain.cut(parse_retrofit(sections, {}));
    EXPECT_TRUE(at::equal(logits_at(looped, 1), expected)) << sections;
    // Until it is trained, nothing of a loop's state enters the next one.
    EXPECT_TRUE(at::equal(logits_at(looped, 3), expected)) << sections;
  }
}

// The stack without the dropped layers, each loop the same core.
TEST_P(RetrofitCase, DroppedLayersAreLeftOut) {
  const PlainStack plain(GetParam());
  const Retrofit retrofit = parse_retrofit("prelude=1,core=2,coda=1", {"1", "3-3"});
  EXPECT_EQ(describe(retrofit), "prelude 0, core 2,4, coda 5; dropped 1,3");
  Config shorter = plain.config;
  shorter.model.core_layers = 4;
  Model kept(shorter.model);
  const int64_t layers[] = {0, 2, 4, 5};
  TensorMap values;
  for (const auto& item : kept.parameters.items()) {
    const bool layer = item.name.starts_with("core.");
    const auto number = layer ? static_cast<size_t>(item.name[5] - '0') : size_t{0};
    const std::string old =
        layer ? "core." + std::to_string(layers[number]) + item.name.substr(6) : item.name;
    values[item.name] = plain.model.parameters.at(old).detach();
  }
  kept.parameters.load(values, "kept");
  const Model looped = plain.cut(retrofit);
  EXPECT_TRUE(at::equal(logits_at(looped, 1), logits_at(kept, 1)));
  EXPECT_FALSE(at::equal(logits_at(looped, 1), logits_at(plain.model, 1)));
}

INSTANTIATE_TEST_SUITE_P(Families, RetrofitCase, testing::Values("llama", "qwen2", "qwen3"));

TEST(Retrofit, TensorsKeepTheirMemoryAndTheOrderOfCheckpoints) {
  const PlainStack plain("qwen2");
  const Retrofit retrofit = parse_retrofit("prelude=2,core=2,coda=2", {});
  const Config config = retrofitted(plain.config, retrofit, "plain");
  EXPECT_EQ(config.model.max_loop_iters, 4);
  const NamedTensors old = named_tensors(plain.model.parameters);
  const NamedTensors tensors = retrofitted(plain.config.model, retrofit, old);
  const auto declared = declared_tensors(config.model);
  ASSERT_EQ(tensors.size(), declared.size());
  ASSERT_EQ(tensors.size(), old.size() + 1);
  for (size_t i = 0; i < tensors.size(); ++i) EXPECT_EQ(tensors[i].first, declared[i].name);
  const TensorMap before = as_map(old), after = as_map(tensors);
  EXPECT_TRUE(after.at("core.1.attn.q_bias").is_alias_of(before.at("core.3.attn.q_bias")));
  EXPECT_TRUE(after.at("coda.0.ffn.down.weight").is_alias_of(before.at("core.4.ffn.down.weight")));
  const at::Tensor matrix = after.at("recurrent.injection.weight");
  EXPECT_TRUE(at::equal(matrix, at::cat({at::zeros({24, 24}), at::eye(24)}, 1)));
}

// The state's half of the injection, 0 at first, has a gradient as soon as a second loop reads it.
TEST(Retrofit, ASecondLoopTeachesTheInjection) {
  const PlainStack plain("llama");
  const Model looped = plain.cut(parse_retrofit("prelude=2,core=2,coda=2", {}));
  const at::Tensor ids = at::arange(24).reshape({2, 12});
  for (const int64_t loops : {1, 2}) {
    const Weights weights = make_weights(looped.config, looped.parameters, at::kFloat);
    ForwardOptions options;
    options.loops = loops;
    logits(weights, forward(looped.config, weights, ids, options).hidden).square().sum().backward();
    at::Tensor gradient = looped.parameters.at("recurrent.injection.weight").mutable_grad();
    EXPECT_EQ(gradient.narrow(1, 0, 24).abs().max().item<double>() > 0, loops > 1);
    EXPECT_GT(gradient.narrow(1, 24, 24).abs().max().item<double>(), 0);
    gradient.zero_();
  }
}

TEST(Retrofit, RefusesCountsThatDoNotFit) {
  const PlainStack plain("llama");
  const auto error = [&](const char* sections, const std::vector<std::string>& dropped) {
    return refusal(ErrorKind::usage,
                   [&] { retrofitted(plain.config, parse_retrofit(sections, dropped), "plain"); });
  };
  EXPECT_EQ(error("prelude=1,core=2,coda=1", {}),
            "--retrofit has places for 1 + 2 + 1 = 4 layers, but plain has 6.");
  EXPECT_EQ(error("prelude=2,core=2,coda=2", {"2-3"}),
            "--retrofit has places for 2 + 2 + 2 = 6 layers, but plain has 6, of which --drop "
            "leaves 4.");
  EXPECT_EQ(error("prelude=1,core=2,coda=1", {"5-6"}),
            "--drop names layer 6, but plain has the layers 0 to 5.");
  EXPECT_EQ(error("prelude=1,core=2,coda=1", {"2-4", "1", "3"}), "--drop names layer 3 twice.");
  EXPECT_EQ(error("prelude=1,core=2,coda=1", {"4-2"}),
            "--drop 4-2: the range ends before it begins.");
  for (const char* word : {"", "-", "x", "-1", "2-", "1-2-3", "4096", "99999999999999999999"}) {
    EXPECT_EQ(
        error("prelude=1,core=2,coda=1", {word}),
        "--drop " + std::string(word) + ": expected a layer from 0 to 4095, or a range of them.");
  }
}

TEST(Retrofit, RefusesOtherSections) {
  const auto error = [](const std::string& sections) {
    const std::string all = refusal(ErrorKind::usage, [&] { parse_retrofit(sections, {}); });
    const std::string start = "--retrofit " + sections + ": ";
    EXPECT_TRUE(all.starts_with(start)) << all;
    return all.substr(std::min(all.size(), start.size()));
  };
  EXPECT_EQ(error("prelude=2,core=2"), "coda is missing.");
  EXPECT_EQ(error("prelude=2,core=2,cod=2"), "'cod' is none of prelude, core, coda.");
  EXPECT_EQ(error("prelude=2,core=2,core=2"), "core is there twice.");
  EXPECT_EQ(error("prelude=2,core=0,coda=2"),
            "core = '0': expected a number of layers from 1 to 4096.");
  EXPECT_EQ(error("prelude=-1,core=1,coda=2"),
            "prelude = '-1': expected a number of layers from 0 to 4096.");
  EXPECT_EQ(error("prelude,core=1,coda=2"),
            "prelude = '': expected a number of layers from 0 to 4096.");
}

TEST(Retrofit, RefusesLoopedModels) {
  const PlainStack plain("llama");
  const Retrofit retrofit = parse_retrofit("prelude=2,core=2,coda=2", {});
  const auto refused = [&](const Config& config) {
    EXPECT_EQ(refusal(ErrorKind::data, [&] { retrofitted(config, retrofit, "dir"); }),
              "dir: a looped model already, which --retrofit cannot cut again.");
  };
  refused(retrofitted(plain.config, retrofit, "plain"));
  for (const auto& [family, loops] :
       {std::pair{"ouro", "total_ut_steps"}, {"nanbeige", "num_loops"}}) {
    Config config = plain.config;
    config.model.max_loop_iters = 3;
    refused(config);
    nlohmann::json file = nlohmann::json::parse(config_to_hf(plain.config, "float32").dump());
    file["model_type"] = family;
    file[loops] = 1;
    refused(config_from_hf(file, "dir"));
  }
}

}  // namespace
}  // namespace mythos
