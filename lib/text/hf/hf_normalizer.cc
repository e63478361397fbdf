#include "text/hf/hf_normalizer.h"

#include "base/error.h"
#include "text/tiktoken/base64.h"

namespace mythos {
namespace {

std::unique_ptr<NormalizerStep> make_replace(const HfJson& json) {
  const HfJson pattern = json["pattern"], regex = pattern["Regex"];
  std::string content = json["content"].text();
  const std::string text = regex.is_null() ? pattern["String"].text() : regex.text();
  if (text.empty()) pattern.refuse("the pattern is empty");
  if (regex.is_null()) return make_replace_step(text, std::move(content));
  try {
    return make_replace_regex_step(text, std::move(content));
  } catch (const Error& error) {
    pattern.refuse(error);
  }
}

std::unique_ptr<NormalizerStep> make_charsmap(const HfJson& json) {
  std::string bytes;
  if (!decode_base64(json.text(), bytes)) json.refuse("expected base64, found " + json.shown());
  try {
    return make_charsmap_step(bytes);
  } catch (const Error& error) {
    json.refuse(std::string("not a map of characters: ") + error.what());
  }
}

// Unless the file says otherwise, accents are taken off if and only if text becomes lower case.
void add_bert_steps(const HfJson& json, Normalizer& out) {
  const bool lower_case = json["lowercase"].flag(true);
  if (json["clean_text"].flag(true)) out.add(make_clean_text_step());
  if (json["handle_chinese_chars"].flag(true)) out.add(make_space_ideographs_step());
  if (json["strip_accents"].flag(lower_case)) {
    out.add(make_form_step("NFD"));
    out.add(make_strip_nonspacing_step());
  }
  if (lower_case) out.add(make_lower_case_step());
}

void add_steps(const HfJson& json, Normalizer& out) {
  const std::string type = json.type();
  if (type == "Sequence") {
    const HfJson steps = json["normalizers"];
    for (size_t i = 0; i < steps.size(); ++i) add_steps(steps.at(i), out);
  } else if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    out.add(make_form_step(type));
  } else if (type == "Lowercase") {
    out.add(make_lower_case_step());
  } else if (type == "StripAccents") {
    out.add(make_strip_accents_step());
  } else if (type == "BertNormalizer") {
    add_bert_steps(json, out);
  } else if (type == "Nmt") {
    out.add(make_nmt_step());
  } else if (type == "Prepend") {
    out.add(make_prepend_step(json["prepend"].text()));
  } else if (type == "Strip") {
    out.add(make_strip_step(json["strip_left"].flag(true), json["strip_right"].flag(true)));
  } else if (type == "Replace") {
    out.add(make_replace(json));
  } else if (type == "Precompiled") {
    out.add(make_charsmap(json["precompiled_charsmap"]));
  } else {
    json.refuse(json["type"].shown() +
                " is not supported (supported: NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, "
                "BertNormalizer, Nmt, Prepend, Strip, Replace, Precompiled, Sequence)");
  }
}

}  // namespace

Normalizer read_hf_normalizer(const HfJson& normalizer) {
  Normalizer out;
  if (!normalizer.is_null()) add_steps(normalizer, out);
  return out;
}

}  // namespace mythos
