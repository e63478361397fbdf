#include "text/pre_tokenizer.h"

#include <algorithm>

#include "text/fast_splitter.h"

namespace mythos {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string put_spaces(std::string_view text, std::vector<size_t>& ends, size_t first) {
  std::string changed;
  size_t begin = 0;
  for (size_t i = first; i < ends.size(); ++i) {
    const std::string_view piece = text.substr(begin, ends[i] - begin);
    begin = ends[i];
    if (!piece.starts_with(' ')) changed += ' ';
    changed += piece;
    ends[i] = changed.size();
  }
  return changed;
}

}  // namespace

void PreTokenizer::add_split(std::string_view pattern, Dialect dialect) {
  steps_.push_back({make_splitter(pattern, dialect)});
  // In each pattern that has hand-written code a piece ends between a letter and a space that a
  // letter follows, wherever the text begins and ends.
  can_cut_ = can_cut_ && make_fast_splitter(pattern) != nullptr;
}

void PreTokenizer::add_prefix_space() {
  steps_.push_back({nullptr});
  can_cut_ = false;
}

void PreTokenizer::split(std::string_view& text, bool begins, std::string& storage,
                         std::vector<size_t>& ends) const {
  const size_t first = ends.size();
  if (steps_.empty() || !steps_[0].splitter) ends.push_back(text.size());
  std::vector<size_t> before;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Splitter* splitter = steps_[i].splitter.get();
    if (!splitter) {
      if (!begins) continue;
      std::string changed = put_spaces(text, ends, first);
      storage = std::move(changed);
      text = storage;
    } else if (i == 0) {
      splitter->split(text, ends);
    } else {
      before.assign(ends.begin() + static_cast<ptrdiff_t>(first), ends.end());
      ends.resize(first);
      size_t begin = 0;
      for (const size_t end : before) {
        const size_t mark = ends.size();
        splitter->split(text.substr(begin, end - begin), ends);
        for (size_t j = mark; j < ends.size(); ++j) ends[j] += begin;
        begin = end;
      }
    }
  }
}

size_t PreTokenizer::safe_cut(std::string_view text, size_t wanted) const {
  if (!can_cut_ || steps_.empty()) return text.size();
  for (size_t at = std::max<size_t>(wanted, 1); at + 1 < text.size(); ++at) {
    if (text[at] == ' ' && is_letter(text[at - 1]) && is_letter(text[at + 1])) return at;
  }
  return text.size();
}

}  // namespace mythos
