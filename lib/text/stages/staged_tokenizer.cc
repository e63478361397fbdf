#include "text/stages/staged_tokenizer.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "text/pieces/byte_alphabet.h"

namespace mythos {
namespace {

// The size of the parts of a text that are cut into pieces at a time, so that the list of ends
// stays in the cache and does not grow with the document.
constexpr size_t kPartBytes = 1 << 15;

class StagedTokenizer : public Tokenizer {
 public:
  StagedTokenizer(TokenizerParts parts, std::string file_content, std::string file_name);

  int64_t vocab_size() const override { return vocab_size_; }
  void encode(std::string_view text, std::vector<uint32_t>& ids, Specials specials) const override;
  std::string_view token_bytes(uint32_t id) const override;
  std::string piece(uint32_t id) const override;
  std::vector<SpecialToken> special_tokens() const override;
  bool drops_first_space() const override { return drops_first_space_; }

 protected:
  bool grow_to(uint32_t id) override;
  bool make_special(uint32_t id) override;

 private:
  // The stages of encoding, each for the text that the stage before leaves: the text between added
  // tokens; its runs of UTF-8, which are normalised in parts; the text between tokens of the second
  // pass; the parts that are cut into pieces.
  void encode_section(std::string_view text, Before before, Specials specials,
                      std::vector<uint32_t>& ids) const;
  void encode_run(std::string_view text, Before before, bool ends, Specials specials,
                  std::vector<uint32_t>& ids) const;
  bool drops_first_character(std::string_view text) const;
  void encode_normalized(std::string_view text, Before before, Specials specials,
                         std::vector<uint32_t>& ids) const;
  void encode_parts(std::string_view text, Before before, std::vector<uint32_t>& ids) const;
  void encode_part(std::string_view text, Before before, std::vector<uint32_t>& ids) const;
  template <class Visit>
  void for_each_part(std::string_view text, bool can_cut, const Visit& visit) const;
  const AddedToken* added(uint32_t id) const;

  std::unique_ptr<PieceModel> model_;
  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  AddedTokens added_;
  std::unordered_map<uint32_t, size_t> added_places_;
  int64_t vocab_size_;
  bool open_ended_, byte_letters_;
  std::optional<TokenTexts> texts_;
  bool drops_first_space_;
  bool can_cut_, can_cut_raw_;  // whether safe_cut() holds for normalised text, for raw text
  std::vector<uint32_t> verbatim_ids_;
};

StagedTokenizer::StagedTokenizer(TokenizerParts parts, std::string file_content,
                                 std::string file_name)
    : Tokenizer(std::move(file_content), std::move(file_name)),
      model_(std::move(parts.model)),
      normalizer_(std::move(parts.normalizer)),
      pre_tokenizer_(std::move(parts.pre_tokenizer)),
      added_(std::move(parts.added)),
      vocab_size_(parts.vocab_size),
      open_ended_(parts.open_ended),
      byte_letters_(parts.byte_letters),
      texts_(std::move(parts.texts)),
      drops_first_space_(parts.drops_first_space),
      can_cut_(pre_tokenizer_.at_cut() == AtCut::ends_piece ||
               (pre_tokenizer_.at_cut() == AtCut::keeps && model_->ends_at_cut())),
      can_cut_raw_(can_cut_ && normalizer_.can_cut() && added_.can_cut()),
      verbatim_ids_(std::move(parts.verbatim_ids)) {
  set_boundaries(parts.bos, parts.eos);
  set_assumption(std::move(parts.assumption));
  // If an id has several names, the first is shown.
  for (size_t i = 0; i < added_.all().size(); ++i) added_places_.try_emplace(added_.all()[i].id, i);
}

void StagedTokenizer::encode(std::string_view text, std::vector<uint32_t>& ids,
                             Specials specials) const {
  if (!added_.relevant(specials)) return encode_section(text, Before::nothing, specials, ids);
  Before before = Before::nothing;
  for (const AddedTokens::Section& section : added_.cut(text, specials)) {
    if (section.id) {
      ids.push_back(*section.id);
    } else {
      encode_section(section.text, before, specials, ids);
    }
    before = Before::token;
  }
}

void StagedTokenizer::encode_section(std::string_view text, Before before, Specials specials,
                                     std::vector<uint32_t>& ids) const {
  for (; !text.empty(); before = Before::bytes) {
    const size_t formed = utf8_prefix(text);
    encode_run(text.substr(0, formed), before, formed == text.size(), specials, ids);
    text.remove_prefix(formed);
    size_t other = 0;
    while (other < text.size() && utf8_sequence(text.substr(other)) <= 0) ++other;
    if (other > 0) model_->encode_bytes(text.substr(0, other), ids);
    text.remove_prefix(other);
  }
}

// Calls visit(part, whether it is the last) for the parts of a text. They are long, but bounded, so
// that encoding a document takes bounded memory.
template <class Visit>
void StagedTokenizer::for_each_part(std::string_view text, bool can_cut, const Visit& visit) const {
  while (!text.empty()) {
    const size_t size = can_cut && text.size() > 2 * kPartBytes
                            ? pre_tokenizer_.safe_cut(text, kPartBytes)
                            : text.size();
    visit(text.substr(0, size), size == text.size());
    text.remove_prefix(size);
  }
}

bool StagedTokenizer::drops_first_character(std::string_view text) const {
  const auto length = static_cast<size_t>(utf8_sequence(text));
  return normalizer_.apply(text.substr(0, length), {.begins = true, .ends = false}).empty();
}

void StagedTokenizer::encode_run(std::string_view text, Before before, bool ends, Specials specials,
                                 std::vector<uint32_t>& ids) const {
  if (normalizer_.empty()) return encode_normalized(text, before, specials, ids);
  for_each_part(text, can_cut_raw_, [&](std::string_view part, bool last) {
    const bool begins = before == Before::nothing || before == Before::token;
    const std::string normal = normalizer_.apply(part, {.begins = begins, .ends = ends && last});
    // If a text's first character is dropped, Metaspace's scheme "first" puts no symbol in front of
    // the rest.
    if (before == Before::nothing && drops_first_character(part)) before = Before::token;
    encode_normalized(normal, before, specials, ids);
    before = Before::text;
  });
}

void StagedTokenizer::encode_normalized(std::string_view text, Before before, Specials specials,
                                        std::vector<uint32_t>& ids) const {
  if (!added_.has_second_pass() || !added_.relevant(specials)) {
    return encode_parts(text, before, ids);
  }
  for (const AddedTokens::Section& section : added_.cut_normalized(text, specials)) {
    if (section.id) {
      ids.push_back(*section.id);
    } else {
      encode_parts(section.text, before, ids);
    }
    before = Before::token;
  }
}

void StagedTokenizer::encode_parts(std::string_view text, Before before,
                                   std::vector<uint32_t>& ids) const {
  for_each_part(text, can_cut_, [&](std::string_view part, bool) {
    encode_part(part, before, ids);
    before = Before::text;
  });
}

void StagedTokenizer::encode_part(std::string_view text, Before before,
                                  std::vector<uint32_t>& ids) const {
  constexpr size_t kKept = 1 << 20;
  thread_local std::vector<size_t> ends;
  std::string changed;
  pre_tokenizer_.split(text, before, changed, ends);
  model_->encode_pieces(text, ends, ids);
  if (ends.capacity() > kKept) std::vector<size_t>().swap(ends);
}

const AddedToken* StagedTokenizer::added(uint32_t id) const {
  const auto found = added_places_.find(id);
  return found == added_places_.end() ? nullptr : &added_.all()[found->second];
}

bool StagedTokenizer::grow_to(uint32_t id) {
  constexpr uint32_t kMaxId = (1 << 24) - 1;
  if (!open_ended_ || id > kMaxId) return false;
  vocab_size_ = std::max(vocab_size_, int64_t{id} + 1);
  return true;
}

bool StagedTokenizer::make_special(uint32_t id) {
  if (const auto found = added_places_.find(id); found != added_places_.end()) {
    added_.make_special(id);
    return true;
  }
  return token_bytes(id).empty() || !model_->text_gives(id);
}

std::string_view StagedTokenizer::token_bytes(uint32_t id) const {
  check_id(id);
  if (const AddedToken* token = added(id)) {
    return token->special ? std::string_view() : std::string_view(token->text);
  }
  if (id == bos_id() || id == eos_id() || id >= model_->vocabulary().size()) return "";
  return texts_ ? texts_->text(id) : model_->vocabulary().bytes(id);
}

std::string StagedTokenizer::piece(uint32_t id) const {
  check_id(id);
  if (const AddedToken* token = added(id)) return token->name;
  if (id >= model_->vocabulary().size()) return "";
  const std::string_view bytes = model_->vocabulary().bytes(id);
  if (!byte_letters_) return texts_ ? std::string(bytes) : escaped(bytes, bytes.size());
  const bool verbatim = std::binary_search(verbatim_ids_.begin(), verbatim_ids_.end(), id);
  return verbatim ? std::string(bytes) : to_byte_letters(bytes);
}

std::vector<SpecialToken> StagedTokenizer::special_tokens() const {
  std::vector<SpecialToken> tokens;
  for (const AddedToken& token : added_.all()) {
    if (token.special) tokens.push_back({token.name, token.id, token.text});
  }
  for (const auto& id : {bos_id(), eos_id()}) {
    if (id && !added(*id)) tokens.push_back({piece(*id), *id});
  }
  const auto less = [](const auto& a, const auto& b) { return a.id < b.id; };
  std::stable_sort(tokens.begin(), tokens.end(), less);
  const auto same = [](const auto& a, const auto& b) { return a.id == b.id; };
  tokens.erase(std::unique(tokens.begin(), tokens.end(), same), tokens.end());
  return tokens;
}

}  // namespace

std::unique_ptr<Tokenizer> make_staged_tokenizer(TokenizerParts parts, std::string file_content,
                                                 std::string file_name) {
  return std::make_unique<StagedTokenizer>(std::move(parts), std::move(file_content),
                                           std::move(file_name));
}

}  // namespace mythos
