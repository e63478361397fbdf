#pragma once
#include <gtest/gtest.h>

#include "checkpoint/checkpoint.h"
#include "text/vocab/train_vocab.h"

namespace mythos {

// A small model that the reference's layout can express.
inline ModelConfig sample_config() {
  ModelConfig config;
  config.dim = 16;
  config.vocab_size = 300;
  config.max_seq_len = 64;
  config.max_loop_iters = 3;
  config.n_heads = 2;
  config.n_kv_heads = 1;
  config.kv_lora_rank = 5;
  config.q_lora_rank = 6;
  config.qk_nope_head_dim = 3;
  config.qk_rope_head_dim = 2;
  config.v_head_dim = 4;
  config.n_experts = 3;
  config.n_shared_experts = 2;
  config.expert_dim = 4;
  config.prelude_norm = false;
  config.halting = Halting::act_reference;
  return config;
}

// The config.json of a small model of a family of stacked layers, as it is published.
inline nlohmann::json sample_stack(const std::string& family) {
  nlohmann::json file = {{"model_type", family},
                         {"vocab_size", 61},
                         {"hidden_size", 24},
                         {"intermediate_size", 40},
                         {"num_hidden_layers", 2},
                         {"num_attention_heads", 4},
                         {"num_key_value_heads", 2},
                         {"head_dim", 8},
                         {"hidden_act", "silu"},
                         {"max_position_embeddings", 64},
                         {"rms_norm_eps", 1e-5},
                         {"rope_theta", 1e4},
                         {"tie_word_embeddings", family == "qwen2"}};
  if (family == "nanbeige") file["num_loops"] = 2;
  return file;
}

// The file of a vocabulary of a few pieces and the bytes.
inline const std::string& sample_vocabulary() {
  static const std::string file = [] {
    TrainingText text(1 << 20);
    for (int i = 0; i < 50; ++i) text.add("the prelude, the core and the coda of the model\n");
    VocabOptions options;
    options.vocab_size = 290;
    return train_vocab(text.take_sentences(), options);
  }();
  return file;
}

inline void expect_equal(const TensorMap& a, const TensorMap& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    ASSERT_EQ(b.count(name), 1u) << name;
    EXPECT_EQ(tensor.sizes(), b.at(name).sizes()) << name;
    EXPECT_TRUE(at::equal(tensor, b.at(name))) << name;
  }
}

inline TensorMap as_map(const NamedTensors& tensors) {
  return {tensors.begin(), tensors.end()};
}

inline void flip_byte(const fs::path& path, uint64_t place) {
  std::string bytes = read_file(path);
  bytes.at(place) = static_cast<char>(bytes.at(place) ^ 0x10);
  write_file_atomic(path, bytes);
}

}  // namespace mythos
