#include "data/read/masked_rows.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace mythos {
namespace {

using nlohmann::json;

// A turn is before_role, role, behind_role, content, end, behind_end; the assistant's content and
// end count. The templates are those of the tokenizers that Qwen, Llama 3 and Huginn-0125 publish,
// except that BOS is left to the option --bos.
struct TurnFormat {
  std::string_view before_role, behind_role, end, behind_end;
  std::string_view assistant;  // the name of the role "assistant"
  bool trims = false;          // whether white space around contents is left out
};

TurnFormat format_of(ChatTemplate chat) {
  switch (chat) {
    case ChatTemplate::llama3:
      return {"<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>", "", "assistant", true};
    case ChatTemplate::huginn:
      return {"<|begin_header|>", "<|end_header|>\n\n", "<|end_turn|>", "", "Huginn", true};
    default:
      return {"<|im_start|>", "\n", "<|im_end|>", "\n", "assistant", false};
  }
}

// A role is written among special tokens, so that it may be nothing but a word.
bool is_role(std::string_view role) {
  return !role.empty() && std::ranges::all_of(role, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

bool is_inside_character(std::string_view text, size_t place) {
  return place < text.size() && (static_cast<unsigned char>(text[place]) & 0xC0) == 0x80;
}

}  // namespace

std::vector<std::string> tokens_of_template(ChatTemplate chat) {
  const TurnFormat format = format_of(chat);
  std::vector<std::string> tokens;
  for (const std::string_view part : {format.before_role, format.behind_role, format.end}) {
    const std::string_view name = trim(part);
    if (!name.empty()) tokens.emplace_back(name);
  }
  return tokens;
}

void MarkedText::add(std::string_view part, bool counts, bool markup) {
  text += part;
  parts.push_back({text.size(), counts, markup});
}

std::string write_conversation(const json& messages, ChatTemplate chat, MarkedText& out) {
  const TurnFormat format = format_of(chat);
  out = {};
  if (!messages.is_array()) return "is not a list of messages";
  for (size_t i = 0; i < messages.size(); ++i) {
    const auto text_of = [&](const char* key) -> const std::string* {
      const auto found = messages[i].find(key);
      return found == messages[i].end() ? nullptr : found->get_ptr<const std::string*>();
    };
    const std::string* role = messages[i].is_object() ? text_of("role") : nullptr;
    const std::string* content = messages[i].is_object() ? text_of("content") : nullptr;
    if (!role || !content) {
      return strprintf("has a message %u without 'role' and 'content' as strings", i);
    }
    if (!is_role(*role)) {
      return strprintf("has a message %u of the role '%s'; a role is letters, digits, _ and -", i,
                       escaped(*role, 40));
    }
    const bool counts = *role == "assistant";
    out.add(std::string(format.before_role) + (counts ? std::string(format.assistant) : *role) +
                std::string(format.behind_role),
            false, true);
    out.add(format.trims ? trim(*content) : std::string_view(*content), counts);
    out.add(format.end, counts, true);
    if (!format.behind_end.empty()) out.add(format.behind_end, false);
  }
  return "";
}

std::string mark_ranges(const json& ranges, MarkedText& document, std::string& misfit) {
  const std::string_view text = document.text;
  document.parts.clear();
  if (!ranges.is_array()) return "is not a list of ranges [begin, end]";
  uint64_t at = 0;
  for (const json& range : ranges) {
    if (!range.is_array() || range.size() != 2 || !range[0].is_number_unsigned() ||
        !range[1].is_number_unsigned()) {
      return "is not a list of ranges [begin, end] of whole numbers from 0";
    }
    const auto begin = range[0].get<uint64_t>(), end = range[1].get<uint64_t>();
    const std::string name = strprintf("range [%u, %u]", begin, end);
    if (end > text.size() || begin > text.size()) {
      misfit = strprintf("%s is longer than its text of %u bytes", name, text.size());
    } else if (begin > end || begin < at) {
      misfit = name + " ends before it begins, or begins before the range in front of it ends";
    } else if (is_inside_character(text, begin) || is_inside_character(text, end)) {
      misfit = name + " begins or ends inside a character; ranges count bytes of UTF-8";
    }
    if (!misfit.empty()) return "";
    if (begin > at) document.parts.push_back({begin, false, false});
    if (end > begin) document.parts.push_back({end, true, false});
    at = end;
  }
  if (at < text.size() || document.parts.empty())
    document.parts.push_back({text.size(), false, false});
  return "";
}

}  // namespace mythos
