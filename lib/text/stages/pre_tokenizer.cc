#include "text/stages/pre_tokenizer.h"

#include <algorithm>

#include "base/utf8.h"

namespace mythos {

void PreTokenizer::split(std::string_view& text, Before before, std::string& storage,
                         std::vector<size_t>& ends) const {
  ends.assign(1, text.size());
  Pieces pieces{text, ends, storage};
  for (const auto& step : steps_) step->apply(pieces, before);
  text = pieces.text;
}

AtCut PreTokenizer::at_cut() const {
  AtCut all = AtCut::keeps;
  for (const auto& step : steps_) {
    const AtCut here = step->at_cut();
    if (here == AtCut::differs) return here;
    if (here == AtCut::ends_piece) all = here;
  }
  return all;
}

size_t PreTokenizer::safe_cut(std::string_view text, size_t wanted) const {
  for (size_t at = std::max<size_t>(wanted, 1); at + 1 < text.size(); ++at) {
    if (text[at] == ' ' && is_ascii_letter(text[at - 1]) && is_ascii_letter(text[at + 1]))
      return at;
  }
  return text.size();
}

}  // namespace mythos
