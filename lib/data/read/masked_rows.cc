#include "data/read/masked_rows.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace mythos {
namespace {

using nlohmann::json;

bool is_inside_character(std::string_view text, size_t place) {
  return place < text.size() && (static_cast<unsigned char>(text[place]) & 0xC0) == 0x80;
}

}  // namespace

std::string write_conversation(const json& messages, const ChatFormat& chat, MarkedText& out) {
  std::vector<ChatMessage> read;
  out = {};
  const std::string fault = read_messages(messages, read);
  if (fault.empty()) write_messages(chat, read, out);
  return fault;
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
