#pragma once
#include <ATen/Parallel.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace mythos {

// Every byte is a token of that number; then EOS, and BOS if asked for.
class ByteTokenizer : public Tokenizer {
 public:
  static constexpr uint32_t kEos = 256, kBos = 257;

  explicit ByteTokenizer(bool bos = false, bool eos = true) : Tokenizer("bytes", "tokenizer.test") {
    set_boundaries(bos ? std::optional(kBos) : std::nullopt,
                   eos ? std::optional(kEos) : std::nullopt);
    for (int byte = 0; byte < 256; ++byte) bytes_ += static_cast<char>(byte);
  }
  int64_t vocab_size() const override { return 258; }
  void encode(std::string_view text, std::vector<uint32_t>& ids, Specials) const override {
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  }
  std::string_view token_bytes(uint32_t id) const override {
    if (id >= 258) fail(ErrorKind::data, "no such token");
    return id < 256 ? std::string_view(bytes_).substr(id, 1) : std::string_view();
  }
  std::string piece(uint32_t id) const override { return std::string(token_bytes(id)); }
  std::vector<SpecialToken> special_tokens() const override { return {}; }
  using Tokenizer::encode;

 private:
  std::string bytes_;
};

// Small in every dimension, with the mechanisms of the defaults.
inline ModelConfig small_config(Attention attention) {
  ModelConfig config;
  config.vocab_size = 258;
  config.dim = 32;
  config.max_seq_len = 48;
  config.max_loop_iters = 3;
  config.attention = attention;
  config.n_heads = 4;
  config.n_kv_heads = 2;
  config.kv_lora_rank = 16;
  config.q_lora_rank = 16;
  config.qk_rope_head_dim = 4;
  config.qk_nope_head_dim = 8;
  config.v_head_dim = 8;
  config.n_experts = 4;
  config.expert_dim = 16;
  config.lora_rank = 4;
  config.init_std = 0.3;  // wide enough that the text depends on every part
  return config;
}

inline Model small_model(Attention attention = Attention::mla, at::Device device = at::kCPU) {
  at::set_num_threads(1);  // tensors this small are not worth sharing
  Model model(small_config(attention), device);
  model.parameters.initialize(model.config, 11);
  return model;
}

inline std::vector<uint32_t> small_prompt(size_t tokens) {
  std::vector<uint32_t> ids;
  for (size_t i = 0; i < tokens; ++i)
    ids.push_back(static_cast<uint32_t>(97 + (i * i + 3 * i) % 26));
  return ids;
}

}  // namespace mythos
