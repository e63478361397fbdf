#include "text/stages/normalizer.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"
#include "text/split/regex.h"
#include "text/stages/charsmap.h"
#include "text/unicode/char_sets.h"
#include "text/unicode/unicode_form.h"

namespace mythos {
namespace {

class FormStep : public NormalizerStep {
 public:
  explicit FormStep(UnicodeForm::Kind kind) : form_(kind) {}
  void apply(std::string_view text, TextPlace, std::string& out) const override {
    form_.apply(text, out);
  }

 private:
  UnicodeForm form_;
};

class CharsmapStep : public NormalizerStep {
 public:
  explicit CharsmapStep(std::string_view bytes) : map_(bytes) {}
  void apply(std::string_view text, TextPlace, std::string& out) const override {
    map_.apply(text, out);
  }

 private:
  Charsmap map_;
};

// A step that maps characters one by one by calling map(code point, its bytes, out).
template <class Map>
class MapStep : public NormalizerStep {
 public:
  explicit MapStep(Map map) : map_(std::move(map)) {}
  void apply(std::string_view text, TextPlace, std::string& out) const override {
    for_each_code_point(text,
                        [&](char32_t code, std::string_view bytes) { map_(code, bytes, out); });
  }

 private:
  Map map_;
};

template <class Map>
std::unique_ptr<NormalizerStep> make_map_step(Map map) {
  return std::make_unique<MapStep<Map>>(std::move(map));
}

class PrependStep : public NormalizerStep {
 public:
  explicit PrependStep(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(std::string_view text, TextPlace place, std::string& out) const override {
    if (place.begins && !text.empty()) out += prefix_;
    out += text;
  }

 private:
  std::string prefix_;
};

class StripStep : public NormalizerStep {
 public:
  StripStep(bool left, bool right) : left_(left), right_(right) {}
  void apply(std::string_view text, TextPlace place, std::string& out) const override {
    while (left_ && place.begins && !text.empty()) {
      const auto length = static_cast<size_t>(utf8_sequence(text));
      if (!CharSet::spaces().has(text.substr(0, length))) break;
      text.remove_prefix(length);
    }
    while (right_ && place.ends && !text.empty()) {
      const size_t length = utf8_last(text);
      if (!CharSet::spaces().has(text.substr(text.size() - length))) break;
      text.remove_suffix(length);
    }
    out += text;
  }

 private:
  bool left_, right_;
};

class ReplaceStep : public NormalizerStep {
 public:
  ReplaceStep(std::string pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::string_view text, TextPlace, std::string& out) const override {
    for (size_t at = 0;;) {
      const size_t found = text.find(pattern_, at);
      out += text.substr(at, found - at);
      if (found == text.npos) break;
      out += content_;
      at = found + pattern_.size();
    }
  }
  bool can_cut() const override {
    return std::none_of(pattern_.begin(), pattern_.end(), is_ascii_letter);
  }

 private:
  std::string pattern_, content_;
};

class ReplaceRegexStep : public NormalizerStep {
 public:
  ReplaceRegexStep(std::string_view pattern, std::string content)
      : regex_(pattern, Dialect::oniguruma),
        content_(std::move(content)),
        of_spaces_(matches_spaces_only(pattern)) {}
  void apply(std::string_view text, TextPlace, std::string& out) const override {
    size_t at = 0;
    regex_.for_each_match(text, [&](Span match) {
      out += text.substr(at, match.begin - at);
      out += content_;
      at = match.end;
    });
    out += text.substr(at);
  }
  bool can_cut() const override { return of_spaces_; }

 private:
  // Whether the pattern matches runs of white space alone: " {2,}", "\s+", "[ \n]+".
  static bool matches_spaces_only(std::string_view pattern) {
    bool quantifier = false;
    for (size_t i = 0; i < pattern.size(); ++i) {
      const char c = pattern[i];
      if (c == '\\' && i + 1 < pattern.size()) {
        if (std::string_view("srnt").find(pattern[++i]) == std::string_view::npos) return false;
      } else if (c == '{' || c == '}') {
        quantifier = c == '{';
      } else if (c != ' ' && c != '+' && c != '[' && c != ']' &&
                 !(quantifier && (c == ',' || (c >= '1' && c <= '9')))) {
        return false;
      }
    }
    return true;
  }

  Regex regex_;
  std::string content_;
  bool of_spaces_;
};

bool is_nmt_removed(char32_t code) {
  return (code >= 0x1 && code <= 0x8) || code == 0xB || (code >= 0xE && code <= 0x1F) ||
         code == 0x7F || code == 0x8F || code == 0x9F;
}

bool is_nmt_space(char32_t code) {
  return code == 0x9 || code == 0xA || code == 0xC || code == 0xD || code == 0x1680 ||
         (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 || code == 0x2581 ||
         code == 0xFEFF || code == 0xFFFD;
}

bool is_ideograph(char32_t code) {
  constexpr std::pair<char32_t, char32_t> kRanges[] = {
      {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
      {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
  return std::ranges::any_of(
      kRanges, [&](const auto& range) { return range.first <= code && code <= range.second; });
}

}  // namespace

std::unique_ptr<NormalizerStep> make_form_step(std::string_view form) {
  const auto kind = form == "NFC"    ? UnicodeForm::nfc
                    : form == "NFD"  ? UnicodeForm::nfd
                    : form == "NFKC" ? UnicodeForm::nfkc
                                     : UnicodeForm::nfkd;
  return std::make_unique<FormStep>(kind);
}

std::unique_ptr<NormalizerStep> make_lower_case_step() {
  return make_map_step(
      [](char32_t code, std::string_view, std::string& out) { append_lower_case(code, out); });
}

std::unique_ptr<NormalizerStep> make_strip_accents_step() {
  return make_map_step([](char32_t code, std::string_view bytes, std::string& out) {
    if (!CharSet::marks().has(code)) out += bytes;
  });
}

std::unique_ptr<NormalizerStep> make_clean_text_step() {
  return make_map_step([](char32_t code, std::string_view bytes, std::string& out) {
    if (CharSet::controls().has(code)) return;
    if (CharSet::spaces().has(code))
      out += ' ';
    else
      out += bytes;
  });
}

std::unique_ptr<NormalizerStep> make_space_ideographs_step() {
  return make_map_step([](char32_t code, std::string_view bytes, std::string& out) {
    const bool apart = is_ideograph(code);
    if (apart) out += ' ';
    out += bytes;
    if (apart) out += ' ';
  });
}

std::unique_ptr<NormalizerStep> make_strip_nonspacing_step() {
  return make_map_step([](char32_t code, std::string_view bytes, std::string& out) {
    if (!CharSet::nonspacing().has(code)) out += bytes;
  });
}

std::unique_ptr<NormalizerStep> make_nmt_step() {
  return make_map_step([](char32_t code, std::string_view bytes, std::string& out) {
    if (is_nmt_space(code)) {
      out += ' ';
    } else if (!is_nmt_removed(code)) {
      out += bytes;
    }
  });
}

std::unique_ptr<NormalizerStep> make_charsmap_step(std::string_view bytes) {
  return std::make_unique<CharsmapStep>(bytes);
}

std::unique_ptr<NormalizerStep> make_prepend_step(std::string prefix) {
  return std::make_unique<PrependStep>(std::move(prefix));
}

std::unique_ptr<NormalizerStep> make_strip_step(bool left, bool right) {
  return std::make_unique<StripStep>(left, right);
}

std::unique_ptr<NormalizerStep> make_replace_step(std::string pattern, std::string content) {
  return std::make_unique<ReplaceStep>(std::move(pattern), std::move(content));
}

std::unique_ptr<NormalizerStep> make_replace_regex_step(std::string_view pattern,
                                                        std::string content) {
  return std::make_unique<ReplaceRegexStep>(pattern, std::move(content));
}

std::string Normalizer::apply(std::string_view text, TextPlace place) const {
  std::string from(text), to;
  for (const auto& step : steps_) {
    to.clear();
    step->apply(from, place, to);
    std::swap(from, to);
  }
  return from;
}

bool Normalizer::can_cut() const {
  return std::all_of(steps_.begin(), steps_.end(),
                     [](const auto& step) { return step->can_cut(); });
}

}  // namespace mythos
