#include "text/byte_bpe.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/strings.h"
#include "text/byte_alphabet.h"
#include "text/utf8.h"

namespace mythos {
namespace {

// Parts of a text that are cut into pieces at a time: the list of their ends stays in the cache,
// and does not grow with the document.
constexpr size_t kPartBytes = 1 << 15;

class ByteBpe : public Tokenizer {
 public:
  ByteBpe(ByteBpeParts parts, std::string file_content, std::string file_name);

  int64_t vocab_size() const override { return vocab_size_; }
  void encode(std::string_view text, std::vector<uint32_t>& ids, Specials specials) const override;
  std::string_view token_bytes(uint32_t id) const override;
  std::string piece(uint32_t id) const override;
  std::optional<uint32_t> bos_id() const override { return bos_; }
  std::optional<uint32_t> eos_id() const override { return eos_; }
  std::vector<SpecialToken> special_tokens() const override;

 private:
  void encode_section(std::string_view text, std::vector<uint32_t>& ids) const;
  void encode_run(std::string_view text, bool begins, std::vector<uint32_t>& ids) const;
  void encode_part(std::string_view text, bool begins, std::vector<uint32_t>& ids) const;
  const AddedToken* added(uint32_t id) const;
  void check_id(uint32_t id) const;

  BpeModel model_;
  PreTokenizer pre_tokenizer_;
  AddedTokens added_;
  std::unordered_map<uint32_t, size_t> added_places_;
  std::optional<uint32_t> bos_, eos_;
  int64_t vocab_size_;
  bool byte_letters_;
  std::vector<uint32_t> verbatim_ids_;
};

ByteBpe::ByteBpe(ByteBpeParts parts, std::string file_content, std::string file_name)
    : Tokenizer(std::move(file_content), std::move(file_name)),
      model_(std::move(parts.bpe)),
      pre_tokenizer_(std::move(parts.pre_tokenizer)),
      added_(std::move(parts.added)),
      bos_(parts.bos),
      eos_(parts.eos),
      vocab_size_(parts.vocab_size),
      byte_letters_(parts.byte_letters),
      verbatim_ids_(std::move(parts.verbatim_ids)) {
  // Of several names for one id the first is shown.
  for (size_t i = 0; i < added_.all().size(); ++i) added_places_.try_emplace(added_.all()[i].id, i);
}

void ByteBpe::encode(std::string_view text, std::vector<uint32_t>& ids, Specials specials) const {
  if (!added_.relevant(specials)) return encode_section(text, ids);
  for (const AddedTokens::Section& section : added_.cut(text, specials)) {
    if (section.id) {
      ids.push_back(*section.id);
    } else {
      encode_section(section.text, ids);
    }
  }
}

void ByteBpe::encode_section(std::string_view text, std::vector<uint32_t>& ids) const {
  for (bool begins = true; !text.empty(); begins = false) {
    const size_t formed = utf8_prefix(text);
    encode_run(text.substr(0, formed), begins, ids);
    text.remove_prefix(formed);
    size_t other = 0;
    while (other < text.size() && utf8_sequence(text.substr(other)) <= 0) ++other;
    if (other > 0) model_.encode(text.substr(0, other), ids);
    text.remove_prefix(other);
  }
}

void ByteBpe::encode_run(std::string_view text, bool begins, std::vector<uint32_t>& ids) const {
  while (!text.empty()) {
    const size_t size =
        text.size() > 2 * kPartBytes ? pre_tokenizer_.safe_cut(text, kPartBytes) : text.size();
    encode_part(text.substr(0, size), begins, ids);
    text.remove_prefix(size);
    begins = false;
  }
}

void ByteBpe::encode_part(std::string_view text, bool begins, std::vector<uint32_t>& ids) const {
  constexpr size_t kKept = 1 << 20;
  thread_local std::vector<size_t> ends;
  std::string changed;
  ends.clear();
  pre_tokenizer_.split(text, begins, changed, ends);
  model_.encode_pieces(text, ends, ids);
  if (ends.capacity() > kKept) std::vector<size_t>().swap(ends);
}

void ByteBpe::check_id(uint32_t id) const {
  if (id >= static_cast<uint64_t>(vocab_size_)) {
    fail(ErrorKind::data, strprintf("token id %u is outside the vocabulary of %lld", id,
                                    static_cast<long long>(vocab_size_)));
  }
}

const AddedToken* ByteBpe::added(uint32_t id) const {
  const auto found = added_places_.find(id);
  return found == added_places_.end() ? nullptr : &added_.all()[found->second];
}

std::string_view ByteBpe::token_bytes(uint32_t id) const {
  check_id(id);
  if (const AddedToken* token = added(id)) {
    return token->special ? std::string_view() : std::string_view(token->name);
  }
  if (id == bos_ || id == eos_ || id >= model_.vocabulary().size()) return "";
  return model_.vocabulary().bytes(id);
}

std::string ByteBpe::piece(uint32_t id) const {
  check_id(id);
  if (const AddedToken* token = added(id)) return token->name;
  if (id >= model_.vocabulary().size()) return "";
  const std::string_view bytes = model_.vocabulary().bytes(id);
  if (!byte_letters_) return escaped(bytes, bytes.size());
  const bool verbatim = std::binary_search(verbatim_ids_.begin(), verbatim_ids_.end(), id);
  return verbatim ? std::string(bytes) : to_byte_letters(bytes);
}

std::vector<SpecialToken> ByteBpe::special_tokens() const {
  std::vector<SpecialToken> tokens;
  for (const AddedToken& token : added_.all()) {
    if (token.special) tokens.push_back({token.name, token.id});
  }
  for (const auto& id : {bos_, eos_}) {
    if (id && !added(*id)) tokens.push_back({piece(*id), *id});
  }
  const auto less = [](const auto& a, const auto& b) { return a.id < b.id; };
  std::stable_sort(tokens.begin(), tokens.end(), less);
  const auto same = [](const auto& a, const auto& b) { return a.id == b.id; };
  tokens.erase(std::unique(tokens.begin(), tokens.end(), same), tokens.end());
  return tokens;
}

}  // namespace

std::unique_ptr<Tokenizer> make_byte_bpe(ByteBpeParts parts, std::string file_content,
                                         std::string file_name) {
  return std::make_unique<ByteBpe>(std::move(parts), std::move(file_content), std::move(file_name));
}

}  // namespace mythos
