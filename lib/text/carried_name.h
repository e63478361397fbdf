#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mythos {

// The name under which a directory carries a tokenizer's file. It says what the file does not:
//   STEM[.ENCODING][.bos-ID][.eos-ID].SUFFIX
// where STEM and SUFFIX are "tokenizer" and "model" (SentencePiece), "tokenizer" and "json"
// (Hugging Face), "tekken" and "json" (Mistral), or "tokenizer" and "tiktoken" (rank file). Only
// the last takes an ENCODING. "tokenizer.cl100k_base.eos-100260.tiktoken" is an example.
struct CarriedName {
  std::string stem, suffix;
  std::string encoding;  // empty where the number of ranks tells it
  // Where they are others than file and encoding tell.
  std::optional<uint32_t> bos = std::nullopt, eos = std::nullopt;

  std::string format() const;
  // What stands between stem and suffix, without the dots at its ends.
  std::string tag() const;
};

// Nothing when the name is not of this form or the encoding is not known.
std::optional<CarriedName> parse_carried_name(std::string_view file_name);

}  // namespace mythos
