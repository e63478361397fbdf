#include "text/tokenizer.h"

#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "text/carried_name.h"

namespace mythos {

Tokenizer::Tokenizer(std::string file_content, std::string file_name)
    : file_content_(std::move(file_content)),
      file_name_(std::move(file_name)),
      fingerprint_(tokenizer_fingerprint(file_content_, file_name_)) {}

void Tokenizer::set_boundaries(std::optional<uint32_t> bos, std::optional<uint32_t> eos) {
  bos_ = bos;
  eos_ = eos;
}

void Tokenizer::choose_boundaries(std::optional<uint32_t> bos, std::optional<uint32_t> eos) {
  auto name = parse_carried_name(file_name_);
  if (!name) fail(ErrorKind::internal, file_name_ + ": not the name of a carried tokenizer");
  if (bos && bos != bos_) {
    check_boundary(*bos, "BOS");
    name->bos = bos_ = bos;
  }
  if (eos && eos != eos_) {
    check_boundary(*eos, "EOS");
    name->eos = eos_ = eos;
  }
  file_name_ = name->format();
  fingerprint_ = tokenizer_fingerprint(file_content_, file_name_);
}

void Tokenizer::check_id(uint32_t id) const {
  if (id >= static_cast<uint64_t>(vocab_size())) {
    fail(ErrorKind::data,
         strprintf("token id %u is outside the vocabulary of %d", id, vocab_size()));
  }
}

void Tokenizer::check_boundary(uint32_t id, const char* what) {
  if (id >= static_cast<uint64_t>(vocab_size()) && !grow_to(id)) {
    fail(ErrorKind::usage,
         strprintf("%s cannot be token %u: the vocabulary has %d", what, id, vocab_size()));
  }
  if (!make_special(id)) {
    fail(ErrorKind::usage,
         strprintf("%s cannot be token %u, '%s': it stands for text. Choose a special token.", what,
                   id, escaped(piece(id), 40)));
  }
}

std::vector<uint32_t> Tokenizer::encode(std::string_view text, Specials specials) const {
  std::vector<uint32_t> ids;
  encode(text, ids, specials);
  return ids;
}

std::string Tokenizer::decode(std::span<const uint32_t> ids) const {
  std::string text;
  for (const uint32_t id : ids) {
    const std::string_view bytes = token_bytes(id);
    text += bytes;
    if (!bytes.empty()) continue;
    if (const auto name = special_names().find(id); name != special_names().end()) {
      text += name->second;
    }
  }
  if (drops_first_space() && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

const std::unordered_map<uint32_t, std::string>& Tokenizer::special_names() const {
  std::call_once(special_names_once_, [&] {
    for (SpecialToken& token : special_tokens()) {
      special_names_[token.id] = std::move(token.text.empty() ? token.name : token.text);
    }
  });
  return special_names_;
}

std::vector<int32_t> Tokenizer::byte_lengths() const {
  std::vector<int32_t> lengths(static_cast<size_t>(vocab_size()));
  for (size_t id = 0; id < lengths.size(); ++id) {
    lengths[id] = static_cast<int32_t>(token_bytes(static_cast<uint32_t>(id)).size());
  }
  return lengths;
}

std::string tokenizer_fingerprint(std::string_view file_content, std::string_view file_name) {
  Checksum sum;
  const auto name = parse_carried_name(file_name);
  const std::string tag = name ? name->tag() : "";
  sum.update(file_content.data(), file_content.size());
  sum.update(tag.data(), tag.size());
  return sum.hex();
}

std::string StreamDecoder::push(uint32_t id) {
  pending_ += tokenizer_.token_bytes(id);
  size_t complete = 0;
  while (complete < pending_.size()) {
    const int length = utf8_sequence(std::string_view(pending_).substr(complete));
    if (length < 0) break;
    complete += static_cast<size_t>(length == 0 ? 1 : length);
  }
  std::string out = pending_.substr(0, complete);
  pending_.erase(0, complete);
  return out;
}

std::string StreamDecoder::finish() {
  return std::exchange(pending_, {});
}

}  // namespace mythos
