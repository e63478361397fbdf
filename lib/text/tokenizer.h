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

// How to read the names of special tokens, such as "<|endoftext|>", in a text.
enum class Specials { as_text, parse };

struct SpecialToken {
  std::string name;
  uint32_t id = 0;
  std::string text = {};  // what decode() makes of the token, if that is not its name
};

// Turns text into token ids and back. decode(encode(x)) is x byte for byte for every x, invalid
// UTF-8 included, with these exceptions: byte-level BPE loses bytes that its vocabulary lacks, adds
// or drops spaces if its file asks for that, and does not bring back what its file's normalizer
// changes; for SentencePiece see sentencepiece.h. Text is cut into the longest runs of well-formed
// UTF-8 and runs of other bytes, and each run is encoded by itself. A run of other bytes is a
// single piece for byte-level BPE, and byte pieces for SentencePiece. Const members may be called
// from several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual int64_t vocab_size() const = 0;
  // Appends the ids of `text` to `ids`, without adding BOS or EOS.
  virtual void encode(std::string_view text, std::vector<uint32_t>& ids,
                      Specials specials) const = 0;
  // The bytes of text that a token stands for; empty for BOS, EOS and other special tokens.
  // Fails (data) on an id outside the vocabulary.
  virtual std::string_view token_bytes(uint32_t id) const = 0;
  // The token's name as its vocabulary shows it ("▁the", "<0x0A>", "</s>").
  virtual std::string piece(uint32_t id) const = 0;
  // BOS, EOS and the other tokens that plain text never gives, by id.
  virtual std::vector<SpecialToken> special_tokens() const = 0;
  // Whether encoding puts a space in front of a text and decode() takes it off again. The bytes of
  // the first token then count one more than the text has.
  virtual bool drops_first_space() const { return false; }

  // The tokens that documents begin and end with.
  std::optional<uint32_t> bos_id() const { return bos_; }
  std::optional<uint32_t> eos_id() const { return eos_; }
  // Replaces the BOS and EOS that the file tells by those that are given. A replacement becomes
  // part of the carried name and so of the fingerprint. Must be called before the tokenizer is
  // used. Fails (usage) if the token is not in the vocabulary, or if plain text gives it and it
  // cannot be made special.
  void choose_boundaries(std::optional<uint32_t> bos, std::optional<uint32_t> eos);

  std::vector<uint32_t> encode(std::string_view text, Specials specials = Specials::as_text) const;
  // The text of ids, the inverse of encoding, also with Specials::parse: special tokens become
  // their names, after a space if words do not bring one (WordPiece).
  std::string decode(std::span<const uint32_t> ids) const;
  // The number of bytes of each token, [V]: their sum over a text is the denominator of bits per
  // byte.
  std::vector<int32_t> byte_lengths() const;

  // The tokenizer's file, kept whole so that shards and checkpoints carry it.
  const std::string& file_content() const { return file_content_; }
  // The name under which directories carry that file (carried_name.h).
  const std::string& file_name() const { return file_name_; }
  // tokenizer_fingerprint() of file_content() and file_name(), which shards, checkpoints and
  // commands compare.
  const std::string& fingerprint() const { return fingerprint_; }
  // A warning about what the loader assumed because the file does not tell it; empty if it assumed
  // nothing.
  const std::string& assumption() const { return assumption_; }

 protected:
  Tokenizer(std::string file_content, std::string file_name);
  // Sets the BOS and EOS that the file tells; for constructors.
  void set_boundaries(std::optional<uint32_t> bos, std::optional<uint32_t> eos);
  void set_assumption(std::string assumption) { assumption_ = std::move(assumption); }
  // Fails (data) on an id outside the vocabulary.
  void check_id(uint32_t id) const;
  // Makes room for an id beyond the vocabulary; false if the file tells where the vocabulary ends.
  virtual bool grow_to(uint32_t) { return false; }
  // Makes a token special; returns whether plain text does not give it from now on.
  virtual bool make_special(uint32_t id) { return token_bytes(id).empty(); }

 private:
  void check_boundary(uint32_t id, const char* what);
  const std::unordered_map<uint32_t, std::string>& special_names() const;

  std::string file_content_, file_name_, fingerprint_, assumption_;
  std::optional<uint32_t> bos_, eos_;
  mutable std::once_flag special_names_once_;
  mutable std::unordered_map<uint32_t, std::string> special_names_;
};

// Identifies a tokenizer by its file and carried name: the checksum of the file's bytes, followed
// by what the name says beyond them (CarriedName::tag).
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
