#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace mythos {

// A part of a document's text. Each part is encoded by itself, as a prompt is before its answer is
// generated, so that no token lies on both sides of a border.
struct TextPart {
  size_t end = 0;       // offset in the text at which it ends
  bool counts = false;  // whether its tokens count as targets
  bool markup = false;  // whether names of special tokens in it are those tokens

  bool operator==(const TextPart&) const = default;
};

// A document's text and its parts, which are none if all of the text counts. Whether the last part
// counts also says whether the EOS behind it does.
struct MarkedText {
  std::string text;
  std::vector<TextPart> parts;

  void add(std::string_view part, bool counts, bool markup = false);
};

// The ids of a text as a whole, as transformers encodes a conversation: tokens may lie across the
// borders of parts. Names of special tokens are those tokens in parts that are markup, and text in
// all others, whatever those hold. (Where such a name does stand in another part, each run of text
// between special tokens is encoded by itself.)
std::vector<uint32_t> encode_whole(const Tokenizer& tokenizer, const MarkedText& marked);

}  // namespace mythos
