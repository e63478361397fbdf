#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace mythos {

constexpr const char* kEndOfText = "<|endoftext|>";

// The facts about a published rank file that do not stand in it.
struct TiktokenEncoding {
  std::string_view name;
  size_t ranks;                 // number of ranks in the file
  std::string_view last_ranks;  // checksum of its last kLastRanks ranks
  bool told_by_ranks;           // whether the number of ranks selects it when no encoding is named
  const std::string_view& pattern;  // cuts text into pieces
  std::string_view bos, eos;        // names of special tokens; bos may be empty
  std::vector<SpecialToken> (*specials)();
  bool nfc = false;  // text is first brought into Unicode's form NFC
};

// A published file is told from another file with as many ranks by the checksum of its last
// kLastRanks ranks, over a line for each in order: the rank in decimal digits, a space, the token's
// bytes and a newline.
constexpr size_t kLastRanks = 16;

// Finds an encoding by name: OpenAI's r50k_base, p50k_base, p50k_edit, cl100k_base, o200k_base and
// o200k_harmony (tiktoken's openai_public.py), Meta's llama3 and llama4 (the package llama-models),
// and Alibaba's qwen (Qwen to Qwen 3, whose file is qwen.tiktoken) and qwen3.5. Null for other
// names.
const TiktokenEncoding* find_tiktoken_encoding(std::string_view name);
// The encoding that a file with so many ranks has, or null.
const TiktokenEncoding* tiktoken_encoding_of(size_t ranks);
// All names: "r50k_base, p50k_base, …".
std::string tiktoken_encodings();

}  // namespace mythos
