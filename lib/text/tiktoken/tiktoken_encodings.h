#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace mythos {

constexpr const char* kEndOfText = "<|endoftext|>";

// What belongs to a published rank file and does not stand in it.
struct TiktokenEncoding {
  std::string_view name;
  size_t ranks;                     // how many the file has
  std::string_view last_ranks;      // checksum of its last ranks
  bool told_by_ranks;               // when no encoding is named
  const std::string_view& pattern;  // cuts text into pieces
  std::string_view bos, eos;        // names among the special tokens; bos may be empty
  std::vector<SpecialToken> (*specials)();
  bool nfc = false;  // text is brought into Unicode's form NFC first
};

// A published file is told from another with as many ranks by the checksum of the last so many: of
// each, in order, the rank in decimal digits, a space, the token's bytes and a newline.
constexpr size_t kLastRanks = 16;

// By name: OpenAI's r50k_base, p50k_base, p50k_edit, cl100k_base, o200k_base and o200k_harmony
// (tiktoken's openai_public.py), Meta's llama3 and llama4 (the package llama-models), and Alibaba's
// qwen (Qwen to Qwen 3, whose file is qwen.tiktoken) and qwen3.5. Null for other names.
const TiktokenEncoding* find_tiktoken_encoding(std::string_view name);
// The encoding that a number of ranks tells, or null.
const TiktokenEncoding* tiktoken_encoding_of(size_t ranks);
// All names: "r50k_base, p50k_base, …".
std::string tiktoken_encodings();

}  // namespace mythos
