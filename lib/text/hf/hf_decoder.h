#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "text/hf/hf_json.h"

namespace mythos {

// The text that a tokenizer.json's member "decoder" makes of each token. A token's text may not
// depend on its neighbours, as Tokenizer::token_bytes() has only one token.
class HfDecoder {
 public:
  // Reads the member; without one, tokens are their own text. Fails (data) on kinds and settings
  // that are not supported.
  explicit HfDecoder(const HfJson& decoder);

  // Whether tokens are bytes written in letters (byte_alphabet.h).
  bool byte_level() const { return byte_level_; }
  // Whether decoding drops the space that a text begins with.
  bool drops_first_space() const { return drops_first_space_; }
  // The bytes that a token stands for; not to be called if byte_level().
  std::string text_of(std::string_view token) const;

 private:
  enum class Kind { replace, byte_fallback, word_piece, clean_up };
  struct Step {
    Kind kind;
    std::string from = {}, to = {};
  };
  void add(const HfJson& json);
  void add_replace(const HfJson& json);
  void add_strip(const HfJson& json);

  std::vector<Step> steps_;
  bool byte_level_ = false, drops_first_space_ = false, fused_ = false;
};

// The byte that a token such as "<0x0A>" stands for; -1 for any other token.
int byte_of_token(std::string_view token);

}  // namespace mythos
