#include "text/hf/hf_pre_tokenizer.h"

#include <optional>

#include "base/error.h"
#include "base/utf8.h"

namespace mythos {
namespace {

Behavior read_behavior(const HfJson& behavior) {
  const std::string name = behavior.text();
  if (name == "Isolated") return Behavior::isolated;
  if (name == "Removed") return Behavior::removed;
  if (name == "Contiguous") return Behavior::contiguous;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  behavior.refuse(behavior.shown() +
                  " is not supported (supported: Isolated, Removed, Contiguous, "
                  "MergedWithPrevious, MergedWithNext)");
}

// Whether a pattern has the alternatives by which the published patterns match at every character:
// spaces, letters, digits, and all other characters.
bool covers_all_text(std::string_view pattern) {
  const auto has = [&](std::string_view part) { return pattern.find(part) != pattern.npos; };
  return has("[^\\s\\p{L}\\p{N}]+") && has("|\\s+") && (has("\\p{L}") || has("\\p{Ll}")) &&
         has("\\p{N}");
}

void add_split(const HfJson& json, PreTokenizer& out) {
  const HfJson pattern = json["pattern"], regex = pattern["Regex"];
  const std::string text = regex.is_null() ? pattern["String"].text() : regex.text();
  if (text.empty()) pattern.refuse("the pattern is empty");
  Behavior behavior = read_behavior(json["behavior"]);
  bool invert = json["invert"].flag(false);
  if (regex.is_null()) return out.add(make_literal_split_step(text, behavior, invert));
  // Nothing lies between the matches of such a pattern, so nothing is removed.
  const bool drops_nothing = behavior == Behavior::removed && invert && covers_all_text(text);
  if (drops_nothing || behavior == Behavior::isolated) {
    behavior = Behavior::isolated;
    invert = false;
  }
  try {
    out.add(make_split_step(text, Dialect::oniguruma, behavior, invert));
  } catch (const Error& error) {
    pattern.refuse(error);
  }
}

std::string read_character(const HfJson& json) {
  const std::string text = json.text();
  if (utf8_sequence(text) != static_cast<int>(text.size())) {
    json.refuse("expected one character, found " + json.shown());
  }
  return text;
}

void add_metaspace(const HfJson& json, PreTokenizer& out) {
  const HfJson scheme = json["prepend_scheme"];
  Prepend prepend = Prepend::always;
  if (!scheme.is_null()) {
    const std::string name = scheme.text();
    if (name != "always" && name != "first" && name != "never") {
      scheme.refuse(scheme.shown() + " is not supported (supported: always, first, never)");
    }
    prepend = name == "always"  ? Prepend::always
              : name == "first" ? Prepend::first
                                : Prepend::never;
  }
  // How files from before version 0.19 of the library say it.
  if (!json["add_prefix_space"].flag(true)) {
    if (!scheme.is_null() && prepend != Prepend::never) {
      json["add_prefix_space"].refuse("false contradicts the prepend_scheme " + scheme.shown());
    }
    prepend = Prepend::never;
  }
  out.add(
      make_metaspace_step(read_character(json["replacement"]), prepend, json["split"].flag(true)));
}

class Reader {
 public:
  explicit Reader(HfPreTokenizer& out) : out_(out) {}

  void add(const HfJson& json) {
    const std::string type = json.type();
    if (type == "Sequence") {
      const HfJson steps = json["pretokenizers"];
      for (size_t i = 0; i < steps.size(); ++i) add(steps.at(i));
      return;
    }
    // After ByteLevel the library's text consists of letters that stand for bytes.
    if (out_.byte_level && !in_letters_) {
      out_.steps.add(make_byte_letters_step());
      in_letters_ = true;
    }
    if (type == "ByteLevel") {
      if (out_.byte_level) json.refuse("a second ByteLevel is not supported");
      if (json["add_prefix_space"].flag(true)) out_.steps.add(make_prefix_space_step());
      if (json["use_regex"].flag(true)) out_.steps.add_split(kGpt2Pattern);
      out_.byte_level = true;
    } else {
      add_other(json, type);
    }
  }

  void finish() {
    if (in_letters_) out_.steps.add(make_bytes_step());
  }

 private:
  void add_other(const HfJson& json, const std::string& type) {
    PreTokenizer& steps = out_.steps;
    if (type == "Split") {
      add_split(json, steps);
    } else if (type == "CharDelimiterSplit") {
      steps.add(
          make_literal_split_step(read_character(json["delimiter"]), Behavior::removed, false));
    } else if (type == "Digits") {
      steps.add(make_digits_step(json["individual_digits"].flag(false)));
    } else if (type == "Punctuation") {
      const HfJson behavior = json["behavior"];
      steps.add(
          make_punctuation_step(behavior.is_null() ? Behavior::isolated : read_behavior(behavior)));
    } else if (type == "Metaspace") {
      if (in_letters_) json.refuse("Metaspace behind ByteLevel is not supported");
      add_metaspace(json, steps);
    } else if (type == "Whitespace") {
      steps.add(make_words_step());
    } else if (type == "WhitespaceSplit") {
      steps.add(make_white_space_step());
    } else if (type == "BertPreTokenizer") {
      steps.add(make_white_space_step());
      steps.add(make_punctuation_step(Behavior::isolated));
    } else {
      json.refuse(json["type"].shown() +
                  " is not supported (supported: ByteLevel, Split, CharDelimiterSplit, Digits, "
                  "Punctuation, Metaspace, Whitespace, WhitespaceSplit, BertPreTokenizer, "
                  "Sequence)");
    }
  }

  HfPreTokenizer& out_;
  bool in_letters_ = false;
};

}  // namespace

HfPreTokenizer read_hf_pre_tokenizer(const HfJson& pre_tokenizer) {
  HfPreTokenizer out;
  if (pre_tokenizer.is_null()) return out;
  Reader reader(out);
  reader.add(pre_tokenizer);
  reader.finish();
  return out;
}

}  // namespace mythos
