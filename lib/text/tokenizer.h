#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/files.h"

namespace mythos {

// How the names of special tokens that stand in a text, such as "<|endoftext|>", are read.
enum class Specials { as_text, parse };

struct SpecialToken {
  std::string name;
  uint32_t id = 0;
  std::string text = {};  // what decode() makes of it, where that is not the name
};

// Text to token ids and back. decode(encode(x)) is x byte for byte for every x, invalid UTF-8
// included, unless the kind of tokenizer says otherwise: byte-level BPE loses bytes that its
// vocabulary lacks, adds or drops spaces where its file asks for that, and does not bring back what
// its file's normalizer changes; for SentencePiece see
// sentencepiece.h. Text is cut into the longest runs of well-formed UTF-8 and runs of other bytes.
// Each run is encoded by itself; one of other bytes is a single piece for byte-level BPE, and byte
// pieces for SentencePiece. Const members may be called from several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual int64_t vocab_size() const = 0;
  // Appends the ids of `text` to `ids`, without adding BOS or EOS.
  virtual void encode(std::string_view text, std::vector<uint32_t>& ids,
                      Specials specials) const = 0;
  // The bytes of text that one token stands for; empty for BOS, EOS and other special tokens.
  // Fails (data) on an id outside the vocabulary.
  virtual std::string_view token_bytes(uint32_t id) const = 0;
  // The token's name as its vocabulary shows it ("▁the", "<0x0A>", "</s>").
  virtual std::string piece(uint32_t id) const = 0;
  // BOS, EOS and the other tokens that text as such never gives, by id.
  virtual std::vector<SpecialToken> special_tokens() const = 0;
  // Whether encoding puts a space in front of a text that decode() takes off again; then the bytes
  // of the first token are one more than the text has.
  virtual bool drops_first_space() const { return false; }

  // The tokens that documents begin and end with.
  std::optional<uint32_t> bos_id() const { return bos_; }
  std::optional<uint32_t> eos_id() const { return eos_; }
  // Takes other tokens as BOS and EOS, where given, than the file tells. What differs becomes part
  // of the carried name and so of the fingerprint. To be called before the tokenizer is used.
  // Fails (usage) unless the token is in the vocabulary and text as such need not give it.
  void choose_boundaries(std::optional<uint32_t> bos, std::optional<uint32_t> eos);

  std::vector<uint32_t> encode(std::string_view text, Specials specials = Specials::as_text) const;
  // The inverse of encoding, with Specials::parse too: special tokens become their names, behind a
  // space where words do not bring one (WordPiece).
  std::string decode(std::span<const uint32_t> ids) const;
  // Bytes of each token, [V]: the denominator of bits per byte.
  std::vector<int32_t> byte_lengths() const;

  // The tokenizer's file, kept whole so that shards and checkpoints carry it.
  const std::string& file_content() const { return file_content_; }
  // Name under which directories carry that file, see carried_name.h.
  const std::string& file_name() const { return file_name_; }
  // tokenizer_fingerprint() of the two: what shards, checkpoints and commands compare.
  const std::string& fingerprint() const { return fingerprint_; }
  // What the loader took for granted because the file does not tell it, for a warning; else empty.
  const std::string& assumption() const { return assumption_; }

 protected:
  Tokenizer(std::string file_content, std::string file_name);
  // For constructors: what the file tells.
  void set_boundaries(std::optional<uint32_t> bos, std::optional<uint32_t> eos);
  void set_assumption(std::string assumption) { assumption_ = std::move(assumption); }
  // Fails (data) on an id outside the vocabulary.
  void check_id(uint32_t id) const;
  // Makes room for an id behind the vocabulary; false where the file tells where that ends.
  virtual bool grow_to(uint32_t) { return false; }
  // Whether text as such does not give this token, or no longer does after this call.
  virtual bool make_special(uint32_t id) { return token_bytes(id).empty(); }

 private:
  void check_boundary(uint32_t id, const char* what);
  const std::unordered_map<uint32_t, std::string>& special_names() const;

  std::string file_content_, file_name_, fingerprint_, assumption_;
  std::optional<uint32_t> bos_, eos_;
  mutable std::once_flag special_names_once_;
  mutable std::unordered_map<uint32_t, std::string> special_names_;
};

// Identifies the tokenizer that a file is under a carried name: the checksum of the file's bytes,
// followed by what the name says beyond them (CarriedName::tag).
std::string tokenizer_fingerprint(std::string_view file_content, std::string_view file_name);

// Decodes a stream: returns the text that is complete after each token and keeps back an unfinished
// UTF-8 sequence, so that a terminal never sees half a character. Bytes that cannot become valid
// are passed on as they are.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  std::string push(uint32_t id);
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  std::string pending_;
};

}  // namespace mythos
