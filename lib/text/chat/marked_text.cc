#include "text/chat/marked_text.h"

#include <algorithm>
#include <unordered_set>

#include "text/stages/added_tokens.h"

namespace mythos {
namespace {

// A special token of the markup, or a run of text between two.
struct MarkupRun {
  std::string text;
  std::optional<uint32_t> id;
};

std::vector<MarkupRun> runs_of(const MarkedText& marked, const NameFinder& names) {
  std::vector<MarkupRun> runs;
  const auto add_text = [&](std::string_view text) {
    if (text.empty()) return;
    if (runs.empty() || runs.back().id) runs.push_back({});
    runs.back().text += text;
  };
  size_t begin = 0;
  for (const TextPart& part : marked.parts) {
    std::string_view text = std::string_view(marked.text).substr(begin, part.end - begin);
    begin = part.end;
    if (part.markup) {
      while (const auto match = names.find(text, 0)) {
        add_text(text.substr(0, match->begin));
        runs.push_back({"", match->value});
        text.remove_prefix(match->end);
      }
    }
    add_text(text);
  }
  return runs;
}

}  // namespace

void MarkedText::add(std::string_view part, bool counts, bool markup) {
  text += part;
  parts.push_back({text.size(), counts, markup});
}

std::vector<uint32_t> encode_whole(const Tokenizer& tokenizer, const MarkedText& marked) {
  NameFinder names;
  std::unordered_set<uint32_t> special;
  for (const SpecialToken& token : tokenizer.special_tokens()) {
    if (!token.name.empty()) names.add(token.name, token.id);
    special.insert(token.id);
  }
  const std::vector<MarkupRun> runs = runs_of(marked, names);
  std::vector<uint32_t> ids = tokenizer.encode(marked.text, Specials::parse);
  auto run = runs.begin();
  const auto next_special = [&] {
    run = std::find_if(run, runs.end(), [](const MarkupRun& r) { return r.id.has_value(); });
  };
  const bool only_markup = std::all_of(ids.begin(), ids.end(), [&](uint32_t id) {
    if (!special.contains(id)) return true;
    next_special();
    return run != runs.end() && *run++->id == id;
  });
  next_special();
  if (only_markup && run == runs.end()) return ids;
  ids.clear();
  for (const MarkupRun& part : runs) {
    if (part.id) {
      ids.push_back(*part.id);
    } else {
      tokenizer.encode(part.text, ids, Specials::as_text);
    }
  }
  return ids;
}

}  // namespace mythos
