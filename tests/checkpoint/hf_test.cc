#include "checkpoint/hf_names.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "../scratch.h"
#include "checkpoint/exchange.h"
#include "checkpoint/hf_config.h"
#include "sample.h"

namespace mythos {
namespace {

using nlohmann::json;

// A published case (tests/golden/published): its config.json and its weights under their names.
struct Sample {
  json file;
  TensorMap weights;
};

Sample load_sample(const std::string& name) {
  const fs::path base = fs::path(MYTHOS_SOURCE_DIR) / "tests/golden/published" / name;
  Sample sample{json::parse(read_file(base.string() + ".json")).at("config"), {}};
  for (const auto& [key, tensor] : read_safetensors(base.string() + ".safetensors").tensors) {
    if (key.starts_with("w.")) sample.weights[key.substr(2)] = tensor;
  }
  return sample;
}

class HfCase : public testing::TestWithParam<const char*> {};

TEST_P(HfCase, NamesGoBothWaysAndKeepEveryByte) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    Sample sample = load_sample(GetParam());
    for (auto& [name, tensor] : sample.weights) tensor = tensor.to(type);
    const ModelConfig config = config_from_hf(sample.file, GetParam()).model;
    const HfTensors read = from_hf(config, sample.weights, GetParam());
    const TensorMap native = made(read.tensors);
    const auto declared = declared_tensors(config);
    ASSERT_EQ(native.size(), declared.size());
    for (const TensorDeclaration& tensor : declared) {
      ASSERT_EQ(native.count(tensor.name), 1u) << tensor.name;
      EXPECT_EQ(native.at(tensor.name).sizes(), at::IntArrayRef(tensor.shape)) << tensor.name;
      EXPECT_EQ(native.at(tensor.name).scalar_type(), type) << tensor.name;
    }
    for (const std::string& line : read.dropped) {
      EXPECT_EQ(sample.weights.erase(line.substr(0, line.find(':'))), 1u) << line;
    }
    expect_equal(to_hf(config, native), sample.weights);
  }
}

TEST_P(HfCase, ConfigurationsGoBothWays) {
  const Sample sample = load_sample(GetParam());
  const Config config = config_from_hf(sample.file, GetParam());
  EXPECT_EQ(hf_form(config.model), config.model);
  const json back = json::parse(config_to_hf(config, "float32").dump());
  EXPECT_EQ(config_from_hf(back, "back"), config);
  for (const auto& [field, value] : back.items()) {
    if (field == "architectures" || field == "torch_dtype" || !sample.file.contains(field))
      continue;
    if (field == "vocab_size" || field == "init_values" || field == "rope_settings") continue;
    EXPECT_EQ(value, sample.file.at(field)) << field;
  }
}

INSTANTIATE_TEST_SUITE_P(Published, HfCase,
                         testing::Values("ouro_grouped", "ouro_real_layout", "huginn_random_state",
                                         "parcae_grouped", "parcae_real_layout"));

TEST(HfNames, SaysWhatItLeavesOut) {
  const auto dropped = [](const std::string& name) {
    const Sample sample = load_sample(name);
    const ModelConfig config = config_from_hf(sample.file, name).model;
    return from_hf(config, sample.weights, name).dropped;
  };
  EXPECT_EQ(dropped("parcae_real_layout"),
            (std::vector<std::string>{"lm_head.weight: the embedding again",
                                      "freqs_cis: angles of positions, which are computed"}));
  EXPECT_EQ(dropped("parcae_grouped"),
            (std::vector<std::string>{
                "transformer.core_block.1.attn.ve_gate.weight: its layer has no table of value "
                "embeddings",
                "transformer.prelude.0.attn.ve_gate.weight: its layer has no table of value "
                "embeddings",
                "value_embeds.1.weight: its layer has no gate for it",
                "value_embeds.3.weight: its layer has no gate for it"}));
}

TEST(HfNames, TakesATiedHeadUnderEitherName) {
  Sample sample = load_sample("ouro_grouped");
  const ModelConfig config = config_from_hf(sample.file, "f").model;
  const std::string embed = "model.embed_tokens.weight", head = "lm_head.weight";
  const TensorMap alone = made(from_hf(config, sample.weights, "f").tensors);
  sample.weights[head] = sample.weights.at(embed).clone();
  expect_equal(made(from_hf(config, sample.weights, "f").tensors), alone);
  TensorMap only_head = sample.weights;
  only_head.erase(embed);
  expect_equal(made(from_hf(config, only_head, "f").tensors), alone);
  sample.weights[head][0][0] += 1;
  EXPECT_EQ(error_of(ErrorKind::data, [&] { from_hf(config, sample.weights, "f"); }),
            "f: tensor 'lm_head.weight' differs from 'model.embed_tokens.weight', but config.json "
            "ties them.");
}

TEST(HfNames, RefusesMissingUnknownAndMisshapenTensors) {
  const Sample sample = load_sample("ouro_real_layout");
  const ModelConfig config = config_from_hf(sample.file, "f").model;
  const auto error = [&](const std::function<void(TensorMap&)>& change) {
    TensorMap weights = sample.weights;
    change(weights);
    return error_of(ErrorKind::data, [&] { from_hf(config, weights, "f"); });
  };
  const std::string name = "model.layers.1.self_attn.k_proj.weight";
  EXPECT_EQ(error([&](TensorMap& w) { w.erase(name); }),
            "f: tensor '" + name + "' of shape [48,48] is missing.");
  EXPECT_EQ(error([&](TensorMap& w) {
              w[name] = at::zeros({48, 47});
            }),
            "f: tensor '" + name + "' has shape [48,47]; config.json says [48,48].");
  EXPECT_NE(error([&](TensorMap& w) {
              w["model.layers.3.mlp.up_proj.weight"] = at::zeros({1});
            }).find("does not belong to this config.json"),
            std::string::npos);
}

TEST(HfConfig, RefusesByNameWhatItDoesNotCompute) {
  const auto error = [](json file, const std::string& field, const json& value) {
    file[json::json_pointer("/" + field)] = value;
    return error_of(ErrorKind::data, [&] { config_from_hf(file, "f"); });
  };
  const json ouro = load_sample("ouro_real_layout").file;
  const json huginn = load_sample("huginn_random_state").file;
  const json parcae = load_sample("parcae_grouped").file;
  const std::tuple<json, std::string, json> refused[] = {
      {ouro, "rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}},
      {ouro, "rope_parameters", {{"rope_type", "llama3"}, {"factor", 8.0}}},
      {sample_stack("llama"), "sliding_window", 4096},
      {ouro, "use_sliding_window", true},
      {ouro, "hidden_act", "gelu"},
      {ouro, "attention_bias", true},
      {ouro, "mlp_bias", true},
      {ouro, "clip_qkv", 8.0},
      {ouro, "quantization_config", {{"bits", 4}}},
      {sample_stack("nanbeige"), "enable_depth_attention", true},
      {sample_stack("nanbeige"), "loop_loss_weights", json::array({0.5})},
      {sample_stack("llama"), "num_local_experts", 8},
      {huginn, "test_time_noise", 0.1},
      {huginn, "block_class_name", "TransformerPreNormBlock"},
      {huginn, "nonlin_name", "GELU"},
      {huginn, "injection_type", "add"},
      {huginn, "num_key_value_heads", 2},
      {huginn, "bias", true},
      {parcae, "clip_qkv", 1.0},
      {parcae, "qk_bias", true},
      {parcae, "mlp_class_name", "GatedMLP"},
      {parcae, "injection_type", "linear"},
      {parcae, "recurrent_embedding_dimension", 96},
      {parcae, "rope_settings/use_rope", false},
      {parcae, "state_init", "normal"},
  };
  for (const auto& [file, field, value] : refused) {
    const std::string message = error(file, field, value);
    const std::string shown = field == "rope_settings/use_rope" ? "rope_settings.use_rope" : field;
    EXPECT_EQ(message.find("f: " + shown + " = " + value.dump()), 0u) << message;
  }
  EXPECT_EQ(error(ouro, "layer_types/1", "sliding_attention"),
            "f: layer_types[1] = \"sliding_attention\": this program's layers attend to the whole "
            "text.");
  EXPECT_EQ(error(ouro, "hidden_size", nullptr), "f: hidden_size is missing.");
  EXPECT_EQ(error(ouro, "hidden_size", "48"),
            "f: hidden_size = \"48\": expected a number, true or false.");
  const std::string unknown = error(ouro, "model_type", "mistral");
  for (const char* known : {"llama", "qwen2", "qwen3", "ouro", "nanbeige", "huginn_raven",
                            "ParcaeConfig", "\"mistral\""}) {
    EXPECT_NE(unknown.find(known), std::string::npos) << unknown;
  }
}

TEST(HfConfig, LetsPassWhatSaysNothingOfTheResult) {
  json file = sample_stack("qwen3");
  const Config plain = config_from_hf(file, "f");
  file["sliding_window"] = 4096;  // not used
  file["use_sliding_window"] = false;
  file["rope_scaling"] = {{"rope_type", "default"}};
  file["attention_dropout"] = 0.1;
  file["transformers_version"] = "5.0";
  file["layer_types"] = {"full_attention", "full_attention"};
  EXPECT_EQ(config_from_hf(file, "f"), plain);
  file.erase("rope_theta");
  file["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 1e4}};
  EXPECT_EQ(config_from_hf(file, "f"), plain);
}

TEST(HfConfig, OurosThresholdIsTheQuantileOfExits) {
  json file = load_sample("ouro_real_layout").file;
  EXPECT_EQ(config_from_hf(file, "f").decode.exit, ExitRule::none);
  file["early_exit_threshold"] = 0.75;
  const Config config = config_from_hf(file, "f");
  EXPECT_EQ(config.decode.exit, ExitRule::gate);
  EXPECT_EQ(config.decode.exit_quantile, 0.75);
  EXPECT_EQ(config_to_hf(config, "float32")["early_exit_threshold"], 0.75);
}

class HfExport : public testing::Test {
 protected:
  void use(const Config& config) {
    checkpoint_.config = config;
    checkpoint_.model = std::make_unique<Model>(config.model);
    checkpoint_.model->parameters.initialize(config.model, 3);
  }
  json write(const std::string& name, at::ScalarType dtype = at::kFloat) {
    fs::create_directory(scratch_ / name);
    write_exchanged(ExchangeFormat::hf, scratch_ / name, checkpoint_, dtype);
    return json::parse(read_file(scratch_ / name / "config.json"));
  }
  ExchangedModel read(const std::string& name) const {
    return read_exchanged(ExchangeFormat::hf, scratch_ / name, scratch_ / name / "config.json");
  }

  const Scratch scratch_;
  LoadedCheckpoint checkpoint_;
};

TEST_F(HfExport, ReadsBackEqualAndWritesTheSameAgain) {
  const auto files = [](const std::string& folder, const Scratch& scratch) {
    return read_file(scratch / folder / "model.safetensors") +
           read_file(scratch / folder / "config.json");
  };
  for (const std::string family : {"llama", "qwen2", "qwen3", "nanbeige", "ouro"}) {
    use(config_from_hf(sample_stack(family), "f"));
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      const std::string name = family + (dtype == at::kFloat ? "32" : "16");
      EXPECT_EQ(write(name, dtype)["model_type"], family);
      ExchangedModel back = read(name);
      EXPECT_EQ(back.config.model, checkpoint_.config.model);
      const Model stored = rounded(*checkpoint_.model, dtype, ExchangeFormat::hf);
      EXPECT_EQ(compare_logits(stored, *back.model).largest_difference, 0);
      checkpoint_.model = std::move(back.model);
      write(name + "again", dtype);
      EXPECT_EQ(files(name, scratch_), files(name + "again", scratch_));
    }
  }
}

// A plain model of this program: adjacent channels turn together, the embedding is normalised, and
// layers may stand in any section.
TEST_F(HfExport, PlainModelsTakeLlamasForm) {
  Config config;
  ModelConfig& c = config.model;
  c = config_from_hf(sample_stack("qwen3"), "f").model;
  c.rope_pairing = RopePairing::adjacent;
  c.qk_norm = false;
  c.init_std = 0.2;
  for (const bool normed : {false, true}) {
    c.prelude_norm = normed;
    c.prelude_layers = c.coda_layers = normed ? 0 : 1;
    c.tied_head = true;
    use(config);
    const std::string name = normed ? "normed" : "sections";
    const json file = write(name);
    EXPECT_EQ(file["model_type"], "llama");
    EXPECT_EQ(file["num_hidden_layers"], normed ? 2 : 4);
    EXPECT_EQ(file["tie_word_embeddings"], !normed);
    const double differs = compare_logits(*checkpoint_.model, *read(name).model).largest_difference;
    EXPECT_LT(differs, 1e-4);
    EXPECT_TRUE(changes_form(c, ExchangeFormat::hf));
    // The order of channels matters.
    c.rope_pairing = RopePairing::halves;
    EXPECT_GT(compare_logits(Model(c, std::move(checkpoint_.model->parameters)), *read(name).model)
                  .largest_difference,
              1e-2);
    c.rope_pairing = RopePairing::adjacent;
  }
}

TEST_F(HfExport, RefusesWhatNoFamilyHasAndSaysWhy) {
  Config config = config_from_hf(sample_stack("llama"), "f");
  config.model.max_loop_iters = 3;
  config.model.injection = Injection::add;
  use(config);
  const std::string message = error_of(ErrorKind::usage, [&] { write("x"); });
  EXPECT_NE(message.find("no published family has this model; the nearest, "), message.npos)
      << message;
  EXPECT_NE(message.find("model.injection = \"add\" (there \"none\")"), message.npos) << message;
}

}  // namespace
}  // namespace mythos
