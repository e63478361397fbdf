#include "arch/tensors.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace mythos {
namespace {

// Configurations that together have every tensor.
std::vector<ModelConfig> configurations() {
  std::vector<ModelConfig> all;
  for (const Injection injection : {Injection::lti, Injection::zoh, Injection::linear,
                                    Injection::gated, Injection::add, Injection::none}) {
    ModelConfig config;
    config.injection = injection;
    all.push_back(config);
    config.attention = Attention::gqa;
    config.qk_norm = true;
    config.attention_bias = AttentionBias::qkv;
    config.value_embeddings = "0,1,2";
    config.ffn = FeedForward::dense;
    config.halting = Halting::act;
    config.tied_head = false;
    config.norm_placement = NormPlacement::sandwich;
    all.push_back(config);
    config.activation = Activation::relu2;
    config.readout = true;
    all.push_back(config);
  }
  return all;
}

// In a part of single bytes every byte is a member: those that no visit reaches are forgotten ones.
template <template <class, class> class Part, class Visit>
size_t members_reached(const Visit& visit) {
  Part<char, char> part;
  std::set<const char*> reached;
  for (const ModelConfig& config : configurations()) {
    visit(part, config, [&](char& member, const TensorDeclaration&) { reached.insert(&member); });
  }
  return reached.size();
}

template <template <class, class> class Part>
size_t members_reached() {
  return members_reached<Part>([](auto& part, const ModelConfig& config, const auto& f) {
    std::decay_t<decltype(part)>::visit(part, config, f);
  });
}

// The part lists of packed tensors repeat down to the last row.
TEST(Tensors, PartsFillTheRowsOfHiddenMatrices) {
  std::set<std::string> packed;
  for (const ModelConfig& config : configurations()) {
    for (const TensorDeclaration& tensor : declared_tensors(config)) {
      EXPECT_TRUE(tensor.shape.size() >= 2 || !is_hidden_matrix(tensor)) << tensor.name;
      if (tensor.parts.empty()) continue;
      EXPECT_TRUE(is_hidden_matrix(tensor)) << tensor.name;
      int64_t rows = 0;
      for (const int64_t part : tensor.parts) rows += part;
      EXPECT_EQ(tensor.shape[tensor.shape.size() - 2] % rows, 0) << tensor.name;
      packed.insert(tensor.name);
    }
  }
  for (const char* name :
       {"core.0.attn.qkv.weight", "core.0.attn.down.weight", "core.0.attn.q_up.weight",
        "core.0.attn.kv_up.weight", "core.0.ffn.experts.gate_up",
        "core.0.ffn.shared.gate_up.weight", "prelude.0.ffn.gate_up.weight"}) {
    EXPECT_EQ(packed.count(name), 1U) << name;
  }
  for (const TensorDeclaration& tensor : declared_tensors(configurations()[1])) {
    const bool other = tensor.name.find("lora") != tensor.name.npos ||
                       tensor.name.find("halt") != tensor.name.npos ||
                       tensor.name == "embed.weight" || tensor.name == "head.weight";
    EXPECT_FALSE(other && is_hidden_matrix(tensor)) << tensor.name;
  }
}

TEST(Tensors, EveryMemberIsDeclared) {
  EXPECT_EQ(members_reached<InjectionTensors>(), sizeof(InjectionTensors<char, char>));
  EXPECT_EQ(members_reached<LoopAdapterTensors>(), sizeof(LoopAdapterTensors<char, char>));
  EXPECT_EQ(members_reached<HaltingTensors>(), sizeof(HaltingTensors<char, char>));
  const size_t of_layers =
      members_reached<LayerTensors>([](auto& layer, const ModelConfig& config, const auto& f) {
        LayerTensors<char, char>::visit(layer, config, {Section::core, 0}, f);
      });
  // Shared experts have gates and so no `up`.
  EXPECT_EQ(of_layers + 1, sizeof(LayerTensors<char, char>));
  std::set<std::string> names;
  for (const ModelConfig& config : configurations()) {
    for (const TensorDeclaration& tensor : declared_tensors(config)) names.insert(tensor.name);
  }
  for (const char* name :
       {"embed.weight", "head.weight", "norm.weight", "prelude_norm.weight", "readout.weight"}) {
    EXPECT_EQ(names.count(name), 1U) << name;
  }
}

TEST(Tensors, AreRoundedExactlyWhereTheyAreMatrices) {
  using Model = ModelTensors<bool, int>;
  for (const ModelConfig& config : configurations()) {
    Model model;
    Model::visit(model, config, [](auto& member, const TensorDeclaration& tensor) {
      const bool matrix = std::is_same_v<decltype(member), int&>;
      EXPECT_EQ(is_rounded(tensor.use), matrix) << tensor.name;
    });
  }
}

TEST(Tensors, AreCountedInALoopWhereTheCoreReadsThem) {
  for (const ModelConfig& config : configurations()) {
    for (const TensorDeclaration& tensor : declared_tensors(config)) {
      const bool core = tensor.name.starts_with("core.") || tensor.name.starts_with("recurrent.");
      EXPECT_EQ(tensor.in_loop, core) << tensor.name;
      EXPECT_FALSE(tensor.part.empty()) << tensor.name;
    }
  }
}

// Layers are counted over prelude, core and coda, and the core may have key heads of its own.
TEST(Tensors, FollowTheSectionAndTheNumberOfTheirLayer) {
  ModelConfig config;
  config.attention = Attention::gqa;
  config.dim = 48, config.n_heads = 4, config.n_kv_heads = 2, config.core_kv_heads = 4;
  config.head_width = 6;
  config.core_layers = 2;
  config.attention_bias = AttentionBias::qk;
  config.qk_norm = true, config.qk_norm_weight = false;
  config.value_embeddings = "0, 2,3";
  config.validate();
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const TensorDeclaration& tensor : declared_tensors(config)) {
    shapes[tensor.name] = tensor.shape;
  }
  using Shape = std::vector<int64_t>;
  EXPECT_EQ(shapes.at("prelude.0.attn.qkv.weight"), (Shape{(4 + 2 * 2) * 6, 48}));
  EXPECT_EQ(shapes.at("core.1.attn.qkv.weight"), (Shape{(4 + 2 * 4) * 6, 48}));
  EXPECT_EQ(shapes.at("coda.0.attn.wo.weight"), (Shape{48, 24}));
  EXPECT_EQ(shapes.at("prelude.0.attn.q_bias"), (Shape{24}));
  EXPECT_EQ(shapes.at("prelude.0.attn.k_bias"), (Shape{12}));
  EXPECT_EQ(shapes.at("core.0.attn.k_bias"), (Shape{24}));
  EXPECT_EQ(shapes.count("core.0.attn.v_bias"), 0U);
  EXPECT_EQ(shapes.count("core.0.attn.q_norm.weight"), 0U);
  EXPECT_EQ(shapes.at("prelude.0.value_embed.weight"), (Shape{config.vocab_size, 12}));
  EXPECT_EQ(shapes.at("prelude.0.value_gate.weight"), (Shape{2, 32}));
  EXPECT_EQ(shapes.count("core.0.value_embed.weight"), 0U);
  EXPECT_EQ(shapes.at("core.1.value_embed.weight"), (Shape{config.vocab_size, 24}));
  EXPECT_EQ(shapes.at("coda.0.value_gate.weight"), (Shape{2, 32}));
}

// Names and their order are part of checkpoints and seeds: a tensor's place in the list is its
// stream of random numbers.
TEST(Tensors, KeepTheirNamesAndOrder) {
  ModelConfig config;
  config.halting = Halting::act;
  config.coda_layers = 0;
  config.tied_head = false;
  std::vector<std::string> names;
  for (const TensorDeclaration& tensor : declared_tensors(config)) {
    std::string text = tensor.name;
    for (const int64_t size : tensor.shape) text += " " + std::to_string(size);
    names.push_back(text);
  }
  const std::vector<std::string> want = {"embed.weight 4096 256",
                                         "prelude.0.attn_norm.weight 256",
                                         "prelude.0.attn.down.weight 208 256",
                                         "prelude.0.attn.q_norm.weight 128",
                                         "prelude.0.attn.q_up.weight 192 128",
                                         "prelude.0.attn.kv_norm.weight 64",
                                         "prelude.0.attn.kv_up.weight 256 64",
                                         "prelude.0.attn.wo.weight 256 128",
                                         "prelude.0.ffn_norm.weight 256",
                                         "prelude.0.ffn.gate_up.weight 682 256",
                                         "prelude.0.ffn.down.weight 256 341",
                                         "core.0.attn_norm.weight 256",
                                         "core.0.attn.down.weight 208 256",
                                         "core.0.attn.q_norm.weight 128",
                                         "core.0.attn.q_up.weight 192 128",
                                         "core.0.attn.kv_norm.weight 64",
                                         "core.0.attn.kv_up.weight 256 64",
                                         "core.0.attn.wo.weight 256 128",
                                         "core.0.ffn_norm.weight 256",
                                         "core.0.ffn.router.weight 8 256",
                                         "core.0.ffn.router_bias 8",
                                         "core.0.ffn.experts.gate_up 8 512 256",
                                         "core.0.ffn.experts.down 8 256 256",
                                         "core.0.ffn.shared.gate_up.weight 1024 256",
                                         "core.0.ffn.shared.down.weight 256 512",
                                         "prelude_norm.weight 256",
                                         "recurrent.norm.weight 256",
                                         "recurrent.injection.log_A 256",
                                         "recurrent.injection.log_dt 1",
                                         "recurrent.injection.B 256",
                                         "recurrent.lora.down.weight 8 256",
                                         "recurrent.lora.scale.weight 8 8",
                                         "recurrent.lora.B 8 256",
                                         "recurrent.halt.weight 1 256",
                                         "recurrent.halt.bias 1",
                                         "norm.weight 256",
                                         "head.weight 4096 256"};
  EXPECT_EQ(names, want);
}

}  // namespace
}  // namespace mythos
