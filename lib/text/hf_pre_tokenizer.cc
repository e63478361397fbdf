#include "text/hf_pre_tokenizer.h"

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

// As text that a regular expression finds literally.
std::string literal_pattern(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       static_cast<unsigned char>(c) >= 0x80;
    if (!plain) pattern += strprintf("\\x%02x", static_cast<unsigned char>(c));
    if (plain) pattern += c;
  }
  return pattern;
}

// Alternatives that together match at every character, in the published patterns: what is neither
// space, letter nor digit; spaces; letters; digits.
bool covers_all_text(std::string_view pattern) {
  const auto has = [&](std::string_view part) { return pattern.find(part) != pattern.npos; };
  return has("[^\\s\\p{L}\\p{N}]+") && has("|\\s+") && (has("\\p{L}") || has("\\p{Ll}")) &&
         has("\\p{N}");
}

void add_split(const HfJson& json, PreTokenizer& out) {
  const HfJson pattern = json["pattern"], regex = pattern["Regex"];
  const std::string text =
      regex.is_null() ? literal_pattern(pattern["String"].text()) : regex.text();
  if (text.empty()) pattern.refuse("the pattern is empty");
  const std::string behavior = json["behavior"].text();
  const bool removes_gaps = behavior == "Removed" && json["invert"].flag(false);
  if (removes_gaps && !covers_all_text(text)) {
    pattern.refuse(
        "the behavior Removed with invert drops text that the pattern does not match; it is "
        "supported only for patterns that match everything");
  }
  if (behavior != "Isolated" && !removes_gaps) {
    json["behavior"].refuse(json["behavior"].shown() +
                            " is not supported (supported: Isolated, or Removed with invert)");
  }
  try {
    out.add_split(text, Dialect::oniguruma);
  } catch (const Error& error) {
    pattern.refuse(error.what());
  }
}

// Adds the steps; whether ByteLevel was met.
bool add_steps(const HfJson& json, PreTokenizer& out) {
  const std::string type = json.type();
  if (type == "Sequence") {
    const HfJson steps = json["pretokenizers"];
    bool bytes = false;
    for (size_t i = 0; i < steps.size(); ++i) {
      // Behind ByteLevel text is in its letters, which other steps would read differently.
      if (bytes) steps.at(i).refuse("a pre-tokenizer behind ByteLevel is not supported");
      bytes = add_steps(steps.at(i), out);
    }
    return bytes;
  }
  if (type == "ByteLevel") {
    if (json["add_prefix_space"].flag(true)) out.add_prefix_space();
    if (json["use_regex"].flag(true)) out.add_split(kGpt2Pattern);
    return true;
  }
  if (type == "Split") {
    add_split(json, out);
  } else if (type == "Digits") {
    out.add_split(json["individual_digits"].flag(false) ? "\\p{N}" : "\\p{N}+");
  } else {
    json.refuse(json["type"].shown() +
                " is not supported (supported: ByteLevel, Split, Digits, Sequence)");
  }
  return false;
}

}  // namespace

PreTokenizer read_hf_pre_tokenizer(const HfJson& pre_tokenizer) {
  PreTokenizer out;
  if (pre_tokenizer.is_null() || !add_steps(pre_tokenizer, out)) {
    pre_tokenizer.refuse(
        "no ByteLevel pre-tokenizer, so this is not byte-level BPE, which is the only kind "
        "supported");
  }
  return out;
}

}  // namespace mythos
