#include "data/build/marked_text.h"

#include <array>
#include <span>

#include "base/files.h"

namespace mythos {

uint64_t marked_hash(uint64_t text_hash, const std::vector<TextPart>& parts) {
  for (const TextPart& part : parts) {
    const std::array<uint64_t, 3> all = {text_hash, part.end,
                                         uint64_t{part.counts} + 2 * uint64_t{part.markup}};
    text_hash = checksum64(std::as_bytes(std::span(all)));
  }
  return text_hash;
}

PartEncoder::PartEncoder(const Tokenizer& tokenizer, Specials specials, bool bos, bool eos)
    : tokenizer_(tokenizer), specials_(specials), bos_(bos), eos_(eos) {
  const std::vector<uint32_t> ids = tokenizer.encode("a");
  puts_space_ = !ids.empty() && tokenizer.token_bytes(ids.front()).starts_with(' ');
}

void PartEncoder::encode(std::string_view text, const std::vector<TextPart>& parts,
                         std::vector<uint32_t>& ids, std::vector<uint32_t>& mask) const {
  if (bos_) mask.push_back(0);
  size_t begin = 0;
  for (const TextPart& part : parts) {
    std::string_view own = text.substr(begin, part.end - begin);
    if (puts_space_ && begin > 0 && own.starts_with(' ')) own.remove_prefix(1);
    const size_t before = ids.size();
    tokenizer_.encode(own, ids, part.markup ? Specials::parse : specials_);
    mask.insert(mask.end(), ids.size() - before, part.counts);
    begin = part.end;
  }
  if (eos_) mask.push_back(parts.back().counts);
}

}  // namespace mythos
