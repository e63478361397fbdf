#include "text/vocab/evaluate_vocab.h"

#include <algorithm>
#include <numeric>

#include "base/clock.h"
#include "base/strings.h"
#include "base/utf8.h"

namespace mythos {
namespace {

// Calls visit(offset, bytes, script) for each character; an invalid byte counts as a character.
template <typename Visit>
void for_each_character(std::string_view text, Visit visit) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      visit(i, 1, script_of(lead));
      ++i;
      continue;
    }
    const std::string_view rest = text.substr(i, 4);
    const int length = utf8_sequence(rest);
    const size_t size = length > 0 ? static_cast<size_t>(length) : 1;
    visit(i, size, length > 0 ? script_of(utf8_code_point(rest, length)) : Script::invalid);
    i += size;
  }
}

bool is_byte_token(const Tokenizer& tokenizer, uint32_t id) {
  const std::string_view bytes = tokenizer.token_bytes(id);
  if (bytes.size() == 1 &&
      tokenizer.piece(id) == strprintf("<0x%02X>", static_cast<unsigned char>(bytes[0]))) {
    return true;
  }
  for (size_t i = 0; i < bytes.size();) {
    const int length = utf8_sequence(bytes.substr(i));
    if (length <= 0) return true;
    i += static_cast<size_t>(length);
  }
  return false;
}

void share_out(std::span<const Script> scripts, std::array<double, kScripts>& tokens) {
  size_t counted = 0;
  for (const Script script : scripts) counted += script != Script::whitespace;
  const bool blank = counted == 0;
  const double share = 1.0 / static_cast<double>(blank ? scripts.size() : counted);
  for (const Script script : scripts) {
    if (blank || script != Script::whitespace) tokens[static_cast<size_t>(script)] += share;
  }
}

}  // namespace

uint64_t TextFacts::total_characters() const {
  return std::accumulate(characters.begin(), characters.end(), uint64_t{0});
}

VocabEvaluation::VocabEvaluation(std::vector<const Tokenizer*> tokenizers,
                                 const std::vector<std::string>& names) {
  for (size_t i = 0; i < tokenizers.size(); ++i) {
    Subject subject{tokenizers[i], {}, {}, {}};
    subject.facts.name = names.at(i);
    subject.facts.vocab_size = tokenizers[i]->vocab_size();
    const auto size = static_cast<size_t>(subject.facts.vocab_size);
    subject.used.resize(size);
    for (uint32_t id = 0; id < size; ++id) {
      subject.byte_token.push_back(is_byte_token(*tokenizers[i], id));
    }
    subjects_.push_back(std::move(subject));
  }
}

void VocabEvaluation::add(std::string_view document) {
  ++text_.documents;
  text_.bytes += document.size();
  bool in_word = false;
  for_each_character(document, [&](size_t, size_t, Script script) {
    ++text_.characters[static_cast<size_t>(script)];
    const bool blank = script == Script::whitespace;
    text_.words += !blank && !in_word;
    in_word = !blank;
  });
  for (Subject& subject : subjects_) add(subject, document);
}

void VocabEvaluation::add(Subject& subject, std::string_view document) {
  TokenizerFacts& facts = subject.facts;
  ids_.clear();
  const auto start = Clock::now();
  subject.tokenizer->encode(document, ids_, Specials::as_text);
  facts.encode_seconds += seconds_since(start);
  facts.tokens += ids_.size();
  decoded_.clear();
  for (const uint32_t id : ids_) {
    facts.byte_tokens += subject.byte_token[id];
    if (!subject.used[id]) ++facts.used_ids;
    subject.used[id] = true;
    decoded_ += subject.tokenizer->token_bytes(id);
  }
  scripts_.clear();
  for_each_character(decoded_, [&](size_t, size_t bytes, Script script) {
    scripts_.insert(scripts_.end(), bytes, script);
  });
  size_t at = 0;
  for (const uint32_t id : ids_) {
    const size_t size = subject.tokenizer->token_bytes(id).size();
    if (size > 0) share_out(std::span(scripts_).subspan(at, size), facts.script_tokens);
    at += size;
  }
  if (decoded_ == document) return;
  if (facts.wrong_documents++ > 0) return;
  const auto [there, here] =
      std::mismatch(document.begin(), document.end(), decoded_.begin(), decoded_.end());
  facts.first_fault = {text_.documents, static_cast<uint64_t>(there - document.begin())};
}

std::vector<TokenizerFacts> VocabEvaluation::tokenizers() const {
  std::vector<TokenizerFacts> facts;
  for (const Subject& subject : subjects_) facts.push_back(subject.facts);
  return facts;
}

}  // namespace mythos
