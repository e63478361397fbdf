#include "text/chat/chat_format.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"
#include "text/chat/chat_template.h"
#include "text/hf/hf_json.h"
#include "text/hf/hf_tokenizer.h"

namespace mythos {
namespace {

using nlohmann::json;

// A role is written among special tokens, so that it may be nothing but a word.
bool is_role(std::string_view role) {
  return !role.empty() && std::ranges::all_of(role, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

// Calls f(key, member, whether it must be given) for what a file of a format says.
template <class Format, class F>
void visit_members(Format& format, F&& f) {
  f("before_role", format.before_role, true);
  f("behind_role", format.behind_role, true);
  f("end", format.end, true);
  f("behind_end", format.behind_end, false);
  f("assistant", format.assistant, false);
  f("trims", format.trims, false);
  f("bos", format.bos, false);
  f("answer", format.answer, false);
  f("system", format.system, false);
}

ChatFormat format_from_json(const HfJson& json, const std::string& file) {
  ChatFormat format;
  std::vector<std::string> known;
  visit_members(format, [&](const char* key, auto& member, bool required) {
    known.emplace_back(key);
    const HfJson value = json[key];
    if (required && value.is_null()) {
      json.refuse("has no member \"" + known.back() + "\"; man mythos-generate describes the file");
    }
    if (value.is_null()) return;
    if constexpr (std::is_same_v<std::remove_reference_t<decltype(member)>, bool>) {
      member = value.flag(false);
    } else {
      member = value.text();
    }
  });
  for (const auto& [key, value] : json.value().items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      json.refuse("unknown key \"" + escaped(key, 60) + "\"." + did_you_mean(key, known) +
                  " Known: " + join(known, ", "));
    }
  }
  if (format.before_role.empty() || format.end.empty()) {
    json.refuse("before_role and end cannot be empty: they tell messages apart");
  }
  if (!is_role(format.assistant)) {
    json["assistant"].refuse("a role is letters, digits, _ and -, found " +
                             json["assistant"].shown());
  }
  format.name = file;
  return format;
}

}  // namespace

std::string ChatFormat::before_content(std::string_view role) const {
  return before_role + (role == "assistant" ? assistant : std::string(role)) + behind_role;
}

nlohmann::ordered_json ChatFormat::to_json() const {
  nlohmann::ordered_json json;
  visit_members(*this, [&](const char* key, const auto& member, bool) { json[key] = member; });
  return json;
}

const std::vector<ChatFormat>& known_chat_formats() {
  static const std::vector<ChatFormat> formats = {
      {"chatml", 1, "<|im_start|>", "\n", "<|im_end|>", "\n"},
      {"llama3", 2, "<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>", "", "assistant",
       true, true},
      // The template of huginn-0125: github.com/seal-rg/recurrent-pretraining,
      // scripts/scalable_data_download.py; the assistant's role is written "Huginn".
      {"huginn", 3, "<|begin_header|>", "<|end_header|>\n\n", "<|end_turn|>", "", "Huginn", true,
       true}};
  return formats;
}

std::string known_chat_names() {
  std::vector<std::string> names;
  for (const ChatFormat& format : known_chat_formats()) names.push_back(format.name);
  return join_or(names);
}

ChatFormat read_chat_format(const std::string& name_or_file) {
  std::vector<std::string> names;
  for (const ChatFormat& format : known_chat_formats()) {
    if (format.name == name_or_file) return format;
    names.push_back(format.name);
  }
  std::error_code status;
  if (!fs::is_regular_file(name_or_file, status)) {
    fail(ErrorKind::usage, "--chat-template '" + name_or_file + "' is neither " +
                               known_chat_names() + " nor a file." +
                               did_you_mean(name_or_file, names));
  }
  const std::string content = read_file(name_or_file);
  // A Jinja template may begin with a brace too.
  const bool is_json = looks_like_json(content) && !trim(content).starts_with("{{") &&
                       !trim(content).starts_with("{%") && !trim(content).starts_with("{#");
  if (!is_json) return recognised_chat_format(content, name_or_file);
  const json object = parse_hf_json(content, name_or_file);
  const HfJson root(object, name_or_file, "");
  const std::string jinja = template_in(root);
  return jinja.empty() ? format_from_json(root, name_or_file)
                       : recognised_chat_format(jinja, name_or_file);
}

std::vector<std::string> tokens_of(const ChatFormat& format) {
  std::vector<std::string> tokens;
  for (const std::string& part :
       {format.before_role, format.behind_role, format.end, format.behind_end}) {
    for (std::string& name : markers_in(part)) {
      if (std::find(tokens.begin(), tokens.end(), name) == tokens.end()) {
        tokens.push_back(std::move(name));
      }
    }
  }
  return tokens;
}

void check_chat_format(const ChatFormat& format, const Tokenizer& tokenizer,
                       const std::string& option) {
  const std::vector<SpecialToken> special = tokenizer.special_tokens();
  for (const std::string& name : tokens_of(format)) {
    const auto is_it = [&](const SpecialToken& token) { return token.name == name; };
    if (std::none_of(special.begin(), special.end(), is_it)) {
      fail(ErrorKind::usage, option + ": the tokenizer has no special token '" + name +
                                 "'. Name the template that belongs to the tokenizer.");
    }
  }
}

std::string read_messages(const json& json, std::vector<ChatMessage>& messages) {
  messages.clear();
  if (!json.is_array()) return "is not a list of messages";
  for (size_t i = 0; i < json.size(); ++i) {
    const auto text_of = [&](const char* key) -> const std::string* {
      const auto found = json[i].find(key);
      return found == json[i].end() ? nullptr : found->get_ptr<const std::string*>();
    };
    const std::string* role = json[i].is_object() ? text_of("role") : nullptr;
    const std::string* content = json[i].is_object() ? text_of("content") : nullptr;
    if (!role || !content) {
      return strprintf("has a message %u without 'role' and 'content' as strings", i);
    }
    if (!is_role(*role)) {
      return strprintf("has a message %u of the role '%s'; a role is letters, digits, _ and -", i,
                       escaped(*role, 40));
    }
    messages.push_back({*role, *content});
  }
  return "";
}

void write_messages(const ChatFormat& format, const std::vector<ChatMessage>& messages,
                    MarkedText& out) {
  const auto write = [&](const ChatMessage& message) {
    const bool counts = message.role == "assistant";
    out.add(format.before_content(message.role), false, true);
    out.add(format.trims ? trim(message.content) : std::string_view(message.content), counts);
    out.add(format.end, counts, true);
    if (!format.behind_end.empty()) {
      out.add(format.behind_end, false, !markers_in(format.behind_end).empty());
    }
  };
  const bool has_system = !messages.empty() && messages.front().role == "system";
  if (!format.system.empty() && !has_system) write({"system", format.system});
  for (const ChatMessage& message : messages) write(message);
}

}  // namespace mythos
