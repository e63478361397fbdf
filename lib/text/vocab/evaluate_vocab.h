#pragma once
#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/unicode/scripts.h"

namespace mythos {

// Counts of a text that do not depend on a tokenizer.
struct TextFacts {
  uint64_t documents = 0, bytes = 0;
  uint64_t words = 0;                              // runs of characters other than white space
  std::array<uint64_t, kScripts> characters = {};  // by script; an invalid byte counts as one

  uint64_t total_characters() const;
};

// The first place where decode(encode(document)) differs from the document.
struct RoundTripFault {
  uint64_t document = 0;  // from 1, in input order
  uint64_t byte = 0;      // offset in that document
};

// The results of one tokenizer on a text.
struct TokenizerFacts {
  std::string name;
  int64_t vocab_size = 0;
  uint64_t tokens = 0;
  // The number of tokens that are not whole characters: SentencePiece's byte pieces, and tokens of
  // byte-level BPE that begin or end inside a character.
  uint64_t byte_tokens = 0;
  uint64_t used_ids = 0;  // number of different ids that occurred
  // Tokens by script: a token counts as 1, shared evenly by the bytes of its text that are not
  // white space, or by all of them when all are; so " the" is Latin. The sum is the number of
  // tokens that stand for text.
  std::array<double, kScripts> script_tokens = {};
  uint64_t wrong_documents = 0;  // number of documents that decoding does not bring back
  RoundTripFault first_fault;    // if wrong_documents > 0
  double encode_seconds = 0;     // on one thread
};

// Compares tokenizers on documents that come one by one.
class VocabEvaluation {
 public:
  // Keeps references to the tokenizers. `names` are for the report.
  VocabEvaluation(std::vector<const Tokenizer*> tokenizers, const std::vector<std::string>& names);

  void add(std::string_view document);
  const TextFacts& text() const { return text_; }
  std::vector<TokenizerFacts> tokenizers() const;

 private:
  struct Subject {
    const Tokenizer* tokenizer;
    TokenizerFacts facts;
    std::vector<bool> byte_token, used;  // [V]
  };
  void add(Subject& subject, std::string_view document);

  TextFacts text_;
  std::vector<Subject> subjects_;
  std::vector<uint32_t> ids_;
  std::string decoded_;
  std::vector<Script> scripts_;
};

// The report for people: a row for each tokenizer, then tokens per character for each script that
// makes up at least `min_share` of the characters.
std::string evaluation_table(const TextFacts& text, const std::vector<TokenizerFacts>& tokenizers,
                             double min_share = 0.001);
// The report as one object of schema "mythos.vocab-evaluate/1" (mythos-vocab(1)).
nlohmann::ordered_json evaluation_json(const TextFacts& text,
                                       const std::vector<TokenizerFacts>& tokenizers);

}  // namespace mythos
