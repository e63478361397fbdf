#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "text/hf/hf_json.h"

namespace mythos {

// What a tokenizer.json's member "decoder" makes of tokens. Each token's text is told by itself, as
// Tokenizer::token_bytes() needs it.
class HfDecoder {
 public:
  // Fails (data) on kinds and settings that are not supported. No decoder: tokens are their own
  // text.
  explicit HfDecoder(const HfJson& decoder);

  // Tokens are bytes in letters (byte_alphabet.h).
  bool byte_level() const { return byte_level_; }
  // Whether a text loses the space that it begins with.
  bool drops_first_space() const { return drops_first_space_; }
  // The bytes of a token; not for byte_level().
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

// The byte that a token such as "<0x0A>" stands for, -1 if it is none.
int byte_of_token(std::string_view token);

}  // namespace mythos
