#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mythos {

// The name under which a directory carries a tokenizer's file. It states what the file does not:
//   STEM[.ENCODING][.bos-ID][.eos-ID].SUFFIX
// where STEM and SUFFIX are "tokenizer" and "model" (SentencePiece), "tokenizer" and "json"
// (Hugging Face), "tekken" and "json" (Mistral), or "tokenizer" and "tiktoken" (rank file). Only a
// rank file takes an ENCODING. "tokenizer.cl100k_base.eos-100260.tiktoken" is an example.
struct CarriedName {
  std::string stem, suffix;
  std::string encoding;  // empty if the number of ranks tells it
  // BOS and EOS, if they differ from what the file and the encoding tell.
  std::optional<uint32_t> bos = std::nullopt, eos = std::nullopt;

  std::string format() const;
  // The part of the name between stem and suffix, without the dots at its ends.
  std::string tag() const;
};

// Takes a file's name apart; nothing if it is not of this form or names an unknown encoding.
std::optional<CarriedName> parse_carried_name(std::string_view file_name);

}  // namespace mythos
