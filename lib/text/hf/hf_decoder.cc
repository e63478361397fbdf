#include "text/hf/hf_decoder.h"

#include "base/utf8.h"

namespace mythos {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// Takes the spaces out that WordPiece's decoder takes out of English, within one token.
void clean_up(std::string& text) {
  constexpr std::pair<const char*, const char*> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kRules) replace_all(text, from, to);
}

}  // namespace

int byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  const int high = hex_digit(token[3]), low = hex_digit(token[4]);
  return high < 0 || low < 0 ? -1 : high << 4 | low;
}

HfDecoder::HfDecoder(const HfJson& decoder) {
  if (!decoder.is_null()) add(decoder);
  if (byte_level_ && !steps_.empty()) {
    decoder.refuse("ByteLevel together with other decoders is not supported");
  }
}

void HfDecoder::add(const HfJson& json) {
  const std::string type = json.type();
  if (type == "Sequence") {
    const HfJson steps = json["decoders"];
    for (size_t i = 0; i < steps.size(); ++i) add(steps.at(i));
  } else if (type == "ByteLevel") {
    byte_level_ = true;
  } else if (type == "Replace") {
    add_replace(json);
  } else if (type == "ByteFallback") {
    steps_.push_back({Kind::byte_fallback});
  } else if (type == "Fuse") {
    fused_ = true;
  } else if (type == "Strip") {
    add_strip(json);
  } else if (type == "Metaspace") {
    const HfJson scheme = json["prepend_scheme"];
    const bool never = !scheme.is_null() && scheme.text() == "never";
    drops_first_space_ |= json["add_prefix_space"].flag(true) && !never;
    steps_.push_back({Kind::replace, json["replacement"].text(), " "});
  } else if (type == "BPEDecoder") {
    const HfJson suffix = json["suffix"];
    steps_.push_back({Kind::replace, suffix.is_null() ? "</w>" : suffix.text(), " "});
  } else if (type == "WordPiece") {
    steps_.push_back({Kind::word_piece, json["prefix"].text()});
    if (json["cleanup"].flag(true)) steps_.push_back({Kind::clean_up});
    drops_first_space_ = true;
  } else {
    json.refuse(json["type"].shown() +
                " is not supported (supported: ByteLevel, Replace, ByteFallback, Fuse, Strip, "
                "Metaspace, BPEDecoder, WordPiece, Sequence)");
  }
}

void HfDecoder::add_replace(const HfJson& json) {
  const HfJson pattern = json["pattern"];
  if (pattern["String"].is_null()) {
    pattern.refuse(pattern.shown() + " is not supported (supported: a String)");
  }
  std::string from = pattern["String"].text();
  if (from.empty()) pattern.refuse("the pattern is empty");
  // Once Fuse has joined the tokens, a pattern may reach from one into the next.
  if (fused_ && utf8_sequence(from) != static_cast<int>(from.size())) {
    pattern.refuse("more than one character behind Fuse is not supported");
  }
  steps_.push_back({Kind::replace, std::move(from), json["content"].text()});
}

void HfDecoder::add_strip(const HfJson& json) {
  const HfJson start = json["start"], stop = json["stop"];
  if (json["content"].text() != " ") {
    json["content"].refuse(json["content"].shown() + " is not supported (supported: a space)");
  }
  if (stop.value() != 0) stop.refuse(stop.shown() + " is not supported (supported: 0)");
  if (start.value() == 0) return;
  if (start.value() != 1) start.refuse(start.shown() + " is not supported (supported: 0, 1)");
  if (!fused_) json.refuse("Strip is supported only behind Fuse");
  drops_first_space_ = true;
}

std::string HfDecoder::text_of(std::string_view token) const {
  std::string text(token);
  for (const Step& step : steps_) {
    switch (step.kind) {
      case Kind::replace:
        replace_all(text, step.from, step.to);
        break;
      case Kind::byte_fallback:
        if (const int byte = byte_of_token(text); byte >= 0) {
          return std::string(1, static_cast<char>(byte));
        }
        break;
      case Kind::word_piece:
        text = text.starts_with(step.from) ? text.substr(step.from.size()) : " " + text;
        break;
      case Kind::clean_up:
        clean_up(text);
        break;
    }
  }
  return text;
}

}  // namespace mythos
