#include "text/chat/chat_template.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"

namespace mythos {
namespace {

// A literal of a template, or the code between two.
struct TemplatePiece {
  bool literal;
  std::string text;
};

// Cuts a Jinja template into its literals (strings in tags, and the text between tags unless it is
// white space, which most templates have for layout) and the code between them.
class TemplateScanner {
 public:
  explicit TemplateScanner(std::string_view jinja) : rest_(jinja) {}

  std::vector<TemplatePiece> pieces() {
    while (!rest_.empty()) {
      const size_t tag = std::min({rest_.find("{{"), rest_.find("{%"), rest_.find("{#")});
      const std::string_view text = rest_.substr(0, tag);
      if (!trim(text).empty()) add(true, std::string(text));
      if (tag == rest_.npos) break;
      rest_.remove_prefix(tag);
      if (rest_.starts_with("{#")) {
        skip_past("#}");
      } else {
        const std::string_view end = rest_.starts_with("{{") ? "}}" : "%}";
        rest_.remove_prefix(2);
        tag_until(end);
      }
    }
    return std::move(pieces_);
  }

 private:
  void tag_until(std::string_view end) {
    std::string code;
    while (!rest_.empty() && !rest_.starts_with(end)) {
      if (rest_.front() == '\'' || rest_.front() == '"') {
        add_code(code);
        add(true, string_literal());
      } else {
        code += rest_.front();
        rest_.remove_prefix(1);
      }
    }
    code += end;
    add_code(code);
    rest_.remove_prefix(std::min(end.size(), rest_.size()));
  }

  std::string string_literal() {
    const char quote = rest_.front();
    std::string text;
    size_t at = 1;
    for (; at < rest_.size() && rest_[at] != quote; ++at) {
      if (rest_[at] != '\\' || at + 1 == rest_.size()) {
        text += rest_[at];
        continue;
      }
      const char letter = rest_[++at];
      text += letter == 'n' ? '\n' : letter == 't' ? '\t' : letter == 'r' ? '\r' : letter;
    }
    rest_.remove_prefix(std::min(at + 1, rest_.size()));
    return text;
  }

  // Literals that are only concatenated are one.
  void add(bool literal, std::string text) {
    const size_t count = pieces_.size();
    if (literal && count >= 2 && !pieces_[count - 1].literal && pieces_[count - 2].literal) {
      const std::string_view code = trim(pieces_[count - 1].text);
      if (code == "+" || code == "~") {
        pieces_.pop_back();
        pieces_.back().text += text;
        return;
      }
    }
    pieces_.push_back({literal, std::move(text)});
  }
  void add_code(std::string& code) {
    if (!code.empty()) add(false, std::move(code));
    code.clear();
  }
  void skip_past(std::string_view end) {
    const size_t at = rest_.find(end);
    rest_.remove_prefix(at == rest_.npos ? rest_.size() : at + end.size());
  }

  std::string_view rest_;
  std::vector<TemplatePiece> pieces_;
};

// Markers of each known format that a template may name beside those of messages.
bool is_extra(const ChatFormat& format, const std::string& marker) {
  static const std::vector<std::string> chatml = {
      "<|endoftext|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
      "<|video_pad|>", "<|audio_start|>",  "<|audio_end|>",  "<|audio_pad|>"};
  static const std::vector<std::string> llama3 = {"<|begin_of_text|>", "<|end_of_text|>",
                                                  "<|python_tag|>", "<|eom_id|>"};
  static const std::vector<std::string> huginn = {"<|begin_text|>", "<|end_text|>",
                                                  "<|tool_in|>",    "<|end_tool_in|>",
                                                  "<|tool_out|>",   "<|end_tool|>"};
  const auto& extras = format.name == "chatml" ? chatml : format.name == "llama3" ? llama3 : huginn;
  return std::find(extras.begin(), extras.end(), marker) != extras.end();
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

// Whether contents are trimmed: message['content'] | trim, message.content.strip().
bool trims_contents(std::string_view jinja) {
  std::string code;
  for (const char c : jinja) {
    if (c != ' ' && c != '"' && c != '\'') code += c;
  }
  return has(code, "[content]|trim") || has(code, ".content|trim") ||
         has(code, "[content].strip()") || has(code, ".content.strip()");
}

class Recogniser {
 public:
  Recogniser(std::string_view jinja, const std::string& source)
      : jinja_(jinja), source_(source), pieces_(TemplateScanner(jinja).pieces()) {
    for (const TemplatePiece& piece : pieces_) {
      if (piece.literal) literals_ += piece.text + '\x01';
    }
  }

  ChatFormat find() const {
    const std::vector<std::string> markers = markers_in(literals_);
    for (const ChatFormat& known : known_chat_formats()) {
      const std::vector<std::string> tokens = tokens_of(known);
      const auto contains = [](const std::vector<std::string>& in, const std::string& name) {
        return std::find(in.begin(), in.end(), name) != in.end();
      };
      const auto is_written = [&](const std::string& name) { return contains(markers, name); };
      if (!std::all_of(tokens.begin(), tokens.end(), is_written)) continue;
      for (const std::string& marker : markers) {
        if (!contains(tokens, marker) && !is_extra(known, marker)) {
          refuse("it looks like " + known.name + " but writes " + escaped(marker, 40) + " too");
        }
      }
      return refined(known);
    }
    refuse(markers.empty() ? "it writes no marker such as <|im_start|>"
                           : "its markers " + shown(join(markers, " ")).substr(0, 120) +
                                 " are not those of " + known_chat_names());
  }

 private:
  ChatFormat refined(ChatFormat format) const {
    const std::string header = format.before_content("assistant");
    if (!has(literals_, header)) {
      refuse("it does not begin answers with '" + escaped(header, 80) + "', as " + format.name +
             " does");
    }
    if (!has(literals_, format.end + format.behind_end)) {
      refuse("it does not end messages with '" + escaped(format.end + format.behind_end, 80) +
             "', as " + format.name + " does");
    }
    if (has(jinja_, "strftime_now") || has(jinja_, "date_string")) {
      refuse("it writes today's date");
    }
    format.trims = trims_contents(jinja_);
    format.bos = has(jinja_, "bos_token") || has(literals_, "<|begin_of_text|>") ||
                 has(literals_, "<|begin_text|>");
    format.system = system_message(format);
    format.answer = answer_start(header);
    return format;
  }

  // A whole system message that stands in one literal.
  std::string system_message(const ChatFormat& format) const {
    const std::string before = format.before_content("system");
    for (size_t at = literals_.find(before); at != literals_.npos;
         at = literals_.find(before, at + 1)) {
      const size_t begin = at + before.size(), end = literals_.find(format.end, begin);
      const std::string text = literals_.substr(begin, end - begin);
      if (end != literals_.npos && !text.empty() && !has(text, "\x01")) return text;
    }
    return "";
  }

  // What the last header of an answer is followed by, in its literal or in the next one unless that
  // depends on something.
  std::string answer_start(const std::string& header) const {
    for (size_t i = pieces_.size(); i-- > 0;) {
      const std::string& text = pieces_[i].text;
      const size_t at = pieces_[i].literal ? text.rfind(header) : text.npos;
      if (at == text.npos) continue;
      std::string start = text.substr(at + header.size());
      for (size_t next = i + 1; start.empty() && next < pieces_.size(); ++next) {
        if (pieces_[next].literal) {
          start = pieces_[next].text;
        } else if (has(pieces_[next].text, "if") || has(pieces_[next].text, "else")) {
          break;
        }
      }
      return start.starts_with("<think>") && !has(start, "</think>") ? start : "";
    }
    return "";
  }

  [[noreturn]] void refuse(const std::string& why) const {
    fail(ErrorKind::usage, source_ + ": its chat template is none of those known: " + why + ".",
         "Give --chat-template " + known_chat_names() +
             " if one of these fits, or a file that describes the format");
  }

  std::string_view jinja_;
  const std::string& source_;
  std::vector<TemplatePiece> pieces_;
  std::string literals_;  // one behind the other, \x01 behind each
};

}  // namespace

std::vector<std::string> markers_in(std::string_view text) {
  constexpr size_t kLongest = 64;
  std::vector<std::string> markers;
  for (size_t at = text.find("<|"); at != text.npos; at = text.find("<|", at + 1)) {
    const size_t end = text.find("|>", at + 2);
    if (end == text.npos) break;
    const std::string_view name = text.substr(at, end + 2 - at);
    const bool is_name = name.size() <= kLongest &&
                         std::all_of(name.begin() + 2, name.end() - 2,
                                     [](char c) { return c != '<' && c != '|' && c > ' '; });
    if (is_name && std::find(markers.begin(), markers.end(), name) == markers.end()) {
      markers.emplace_back(name);
    }
  }
  return markers;
}

std::string template_in(const HfJson& root) {
  const HfJson entry = root["chat_template"];
  if (entry.is_null() || entry.value().is_string()) return entry.is_null() ? "" : entry.text();
  std::string names;
  for (size_t i = 0; i < entry.size(); ++i) {
    if (entry.at(i)["name"].text() == "default") return entry.at(i)["template"].text();
    names += " " + entry.at(i)["name"].shown();
  }
  entry.refuse("none of the templates is named \"default\":" + names);
}

ChatFormat recognised_chat_format(std::string_view jinja, const std::string& source) {
  return Recogniser(jinja, source).find();
}

ChatFormat chat_format_of(const fs::path& folder, const Tokenizer& tokenizer) {
  std::error_code status;
  const fs::path jinja = folder / "chat_template.jinja";
  std::optional<ChatFormat> found;
  if (fs::is_regular_file(jinja, status)) {
    found = recognised_chat_format(read_file(jinja), jinja.string());
  }
  for (const char* name : {"tokenizer_config.json", "chat_template.json"}) {
    const fs::path file = folder / name;
    if (found || !fs::is_regular_file(file, status)) continue;
    const nlohmann::json object = parse_hf_json(read_file(file), file.string());
    const std::string text = template_in(HfJson(object, file.string(), ""));
    if (!text.empty()) found = recognised_chat_format(text, file.string());
  }
  if (found) {
    check_chat_format(*found, tokenizer, "the model's chat template (" + found->name + ")");
    return *found;
  }
  const std::vector<SpecialToken> special = tokenizer.special_tokens();
  std::vector<ChatFormat> fitting;
  for (const ChatFormat& known : known_chat_formats()) {
    const std::vector<std::string> tokens = tokens_of(known);
    const auto is_there = [&](const std::string& name) {
      return std::any_of(special.begin(), special.end(),
                         [&](const SpecialToken& token) { return token.name == name; });
    };
    if (std::all_of(tokens.begin(), tokens.end(), is_there)) fitting.push_back(known);
  }
  if (fitting.size() != 1) {
    fail(ErrorKind::usage,
         folder.string() + ": has no chat template, and its tokenizer's special tokens fit " +
             (fitting.empty() ? "none" : "several") + " of the known ones.",
         "Give --chat-template " + known_chat_names() + ", or a file that describes the format");
  }
  log_info("chat template: " + fitting.front().name + ", told by the tokenizer's special tokens");
  return fitting.front();
}

std::vector<uint32_t> generation_stop_ids(const fs::path& folder, const Tokenizer& tokenizer) {
  const fs::path file = folder / "generation_config.json";
  std::error_code status;
  if (!fs::is_regular_file(file, status)) return {};
  const nlohmann::json object = parse_hf_json(read_file(file), file.string());
  const HfJson root(object, file.string(), ""), entry = root["eos_token_id"];
  std::vector<uint32_t> ids;
  const auto add = [&](const HfJson& id) {
    if (id.id() >= tokenizer.vocab_size()) {
      id.refuse(strprintf("%u is outside the tokenizer's vocabulary of %d", id.id(),
                          tokenizer.vocab_size()));
    }
    ids.push_back(id.id());
  };
  if (entry.value().is_array()) {
    for (size_t i = 0; i < entry.size(); ++i) add(entry.at(i));
  } else if (!entry.is_null()) {
    add(entry);
  }
  return ids;
}

}  // namespace mythos
