#include "text/sentencepiece/sentencepiece.h"

#include <model_factory.h>
#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "base/strings.h"
#include "base/utf8.h"
#include "text/pieces/joined_pairs.h"
#include "text/sentencepiece/protobuf.h"
#include "text/sentencepiece/sentencepiece_normalizer.h"
#include "text/stages/added_tokens.h"
#include "text/stages/token_texts.h"

namespace mythos {
namespace {

constexpr std::string_view kSpaceSymbol = "\u2581";

using sentencepiece::ModelProto;
using sentencepiece::TrainerSpec;

std::string piece_bytes(std::string_view piece) {
  std::string bytes;
  while (!piece.empty()) {
    const bool space = piece.starts_with(kSpaceSymbol);
    bytes += space ? ' ' : piece[0];
    piece.remove_prefix(space ? kSpaceSymbol.size() : 1);
  }
  return bytes;
}

// The ids of a text that is being encoded. Without byte fallback, neighbouring unknown characters
// become one <unk>.
struct Output {
  std::vector<uint32_t>& ids;
  bool behind_unknown = false;
  std::string part;  // normalized text that is not encoded yet
};

class SentencePiece : public Tokenizer {
 public:
  SentencePiece(std::string content, const std::string& source);

  int64_t vocab_size() const override { return model_->GetPieceSize(); }
  void encode(std::string_view text, std::vector<uint32_t>& ids, Specials specials) const override;
  std::string_view token_bytes(uint32_t id) const override;
  std::string piece(uint32_t id) const override;
  std::vector<SpecialToken> special_tokens() const override;

 private:
  std::optional<uint32_t> control(std::string_view name) const;
  void build_token_bytes();
  void encode_section(std::string_view text, bool begins, std::vector<uint32_t>& ids) const;
  void encode_exact(std::string_view text, bool add_space, Output& output) const;
  void encode_run(std::string_view run, bool space_before, bool space_after, Output& output) const;
  void encode_part(std::string_view part, Output& output) const;
  void encode_bytes(std::string_view bytes, Output& output) const;
  size_t last_safe_cut(std::string_view part, size_t searched) const;
  bool is_safe_cut(std::string_view part, size_t at) const;
  const JoinedPairs& joined_pairs() const;

  ModelProto proto_;
  std::unique_ptr<sentencepiece::ModelInterface> model_;
  std::optional<SentencePieceNormalizer> normalizer_;
  AddedTokens controls_;
  bool keeps_text_ = false;  // the normalizer leaves valid UTF-8 as it is
  bool byte_fallback_ = false;
  uint32_t unknown_id_ = 0;
  std::array<uint32_t, 256> byte_ids_ = {};
  TokenTexts texts_;
  mutable std::once_flag pairs_once_;
  mutable std::optional<JoinedPairs> pairs_;
};

SentencePiece::SentencePiece(std::string content, const std::string& source)
    : Tokenizer(std::move(content), "tokenizer.model") {
  const auto check = [&](const sentencepiece::util::Status& status) {
    if (status.ok()) return;
    fail(ErrorKind::data, source + ": not a usable SentencePiece model: " + status.error_message());
  };
  if (!proto_.ParseFromString(file_content())) {
    fail(ErrorKind::data, source + ": not a SentencePiece model");
  }
  model_ = sentencepiece::ModelFactory::Create(proto_);
  check(model_->status());
  set_boundaries(control(model_->bos_piece()), control(model_->eos_piece()));
  if (proto_.has_self_test_data()) {
    sentencepiece::SentencePieceProcessor processor;
    check(processor.Load(proto_));
  }
  const auto& rules = proto_.normalizer_spec();
  bool has_symbols = false;
  for (int id = 0; id < model_->GetPieceSize(); ++id) {
    has_symbols |= model_->IsUserDefined(id);
    if (model_->IsUnknown(id)) unknown_id_ = static_cast<uint32_t>(id);
  }
  normalizer_.emplace(
      SentencePieceRules{.charsmap = rules.precompiled_charsmap(),
                         .remove_extra_spaces = rules.remove_extra_whitespaces(),
                         .escape_spaces = rules.escape_whitespaces(),
                         .symbols = has_symbols ? model_->prefix_matcher() : nullptr},
      source);
  keeps_text_ = rules.precompiled_charsmap().empty() && !rules.remove_extra_whitespaces();
  byte_fallback_ = model_->ByteFallbackEnabled();
  build_token_bytes();
  for (SpecialToken& token : special_tokens()) {
    controls_.add({.name = std::move(token.name), .id = token.id});
  }
}

std::optional<uint32_t> SentencePiece::control(std::string_view name) const {
  const int id = model_->PieceToId(name);
  return model_->IsControl(id) ? std::optional<uint32_t>(id) : std::nullopt;
}

void SentencePiece::build_token_bytes() {
  for (int id = 0; id < model_->GetPieceSize(); ++id) {
    const std::string& name = model_->IdToPiece(id);
    if (model_->IsByte(id)) {
      const auto byte = static_cast<uint8_t>(sentencepiece::PieceToByte(name));
      byte_ids_[byte] = static_cast<uint32_t>(id);
      texts_.add(std::string(1, static_cast<char>(byte)));
    } else {
      texts_.add(model_->IsControl(id) || model_->IsUnknown(id) ? "" : piece_bytes(name));
    }
  }
}

std::string_view SentencePiece::token_bytes(uint32_t id) const {
  check_id(id);
  return texts_.text(id);
}

std::string SentencePiece::piece(uint32_t id) const {
  check_id(id);
  return model_->IdToPiece(static_cast<int>(id));
}

std::vector<SpecialToken> SentencePiece::special_tokens() const {
  std::vector<SpecialToken> tokens;
  for (int id = 0; id < model_->GetPieceSize(); ++id) {
    if (model_->IsControl(id)) tokens.push_back({model_->IdToPiece(id), static_cast<uint32_t>(id)});
  }
  return tokens;
}

void SentencePiece::encode(std::string_view text, std::vector<uint32_t>& ids,
                           Specials specials) const {
  if (specials == Specials::as_text) return encode_section(text, true, ids);
  bool begins = true;
  for (const AddedTokens::Section& section : controls_.cut(text, specials)) {
    if (section.id) {
      ids.push_back(*section.id);
    } else {
      encode_section(section.text, begins, ids);
    }
    begins = false;
  }
}

// Encodes a section; `begins` says that it begins the text. If the normalizer changes nothing else,
// the model's space is added only there.
void SentencePiece::encode_section(std::string_view text, bool begins,
                                   std::vector<uint32_t>& ids) const {
  if (text.empty()) return;
  const bool add_space = proto_.normalizer_spec().add_dummy_prefix() && (begins || !keeps_text_);
  Output output{.ids = ids, .part = {}};
  if (keeps_text_ && byte_fallback_) return encode_exact(text, add_space, output);
  const bool at_end = proto_.trainer_spec().treat_whitespace_as_suffix();
  encode_run(text, add_space && !at_end, add_space && at_end, output);
}

// Hands SentencePiece the runs of text that it keeps as they are; the bytes between become byte
// pieces.
void SentencePiece::encode_exact(std::string_view text, bool add_space, Output& output) const {
  const bool at_end = proto_.trainer_spec().treat_whitespace_as_suffix();
  bool space_before = add_space && !at_end;
  size_t begin = 0, i = 0;
  while (i < text.size()) {
    const unsigned char lead = static_cast<unsigned char>(text[i]);
    if (lead != 0 && lead < 0x80) {
      ++i;
      continue;
    }
    const int length = lead == 0 ? 0 : utf8_sequence(text.substr(i));
    const bool space_symbol = text.substr(i).starts_with(kSpaceSymbol);
    if (length > 0 && !space_symbol) {
      i += static_cast<size_t>(length);
      continue;
    }
    encode_run(text.substr(begin, i - begin), space_before, false, output);
    space_before = false;
    const size_t size = space_symbol ? kSpaceSymbol.size() : 1;
    encode_bytes(text.substr(i, size), output);
    i += size;
    begin = i;
  }
  encode_run(text.substr(begin), space_before, add_space && at_end, output);
}

void SentencePiece::encode_bytes(std::string_view bytes, Output& output) const {
  for (const char c : bytes) output.ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
}

// The library takes about a hundred bytes of memory per byte of text, so it is given parts of the
// normalized text, cut only where no piece of the vocabulary could join the two sides: the ids are
// those of the whole. A unigram model adds up scores in single precision, where ties may fall
// otherwise after a cut; its parts are large, so that no document below 2 MB is cut.
void SentencePiece::encode_run(std::string_view run, bool space_before, bool space_after,
                               Output& output) const {
  constexpr size_t kPartBytes = 1 << 14, kUnigramBytes = 6 << 20;
  if (run.empty() && !space_before && !space_after) return;
  const bool unigram = proto_.trainer_spec().model_type() == TrainerSpec::UNIGRAM;
  NormalizedText text(*normalizer_, run, space_before, space_after);
  std::string& part = output.part;
  part.clear();
  size_t searched = 0;
  while (text.read(unigram ? kUnigramBytes : kPartBytes, part)) {
    const size_t cut = last_safe_cut(part, searched);
    searched = part.size() - cut;
    encode_part(std::string_view(part).substr(0, cut), output);
    part.erase(0, cut);
  }
  encode_part(part, output);
}

void SentencePiece::encode_part(std::string_view part, Output& output) const {
  if (part.empty()) return;
  for (const auto& [piece, id] : model_->Encode(part)) {
    // The name of a control piece in text is text, not that piece.
    const bool unknown = model_->IsUnknown(id) || model_->IsControl(id);
    if (unknown && byte_fallback_) {
      encode_bytes(piece, output);
    } else if (!unknown || !output.behind_unknown) {
      output.ids.push_back(unknown ? unknown_id_ : static_cast<uint32_t>(id));
    }
    output.behind_unknown = unknown;
  }
}

// The last offset in `part` from `searched` on where it can be cut safely; 0 if there is none.
size_t SentencePiece::last_safe_cut(std::string_view part, size_t searched) const {
  for (size_t at = part.size(); at-- > std::max<size_t>(searched, 1);) {
    if (is_safe_cut(part, at)) return at;
  }
  return 0;
}

bool SentencePiece::is_safe_cut(std::string_view part, size_t at) const {
  const size_t left = utf8_last(part.substr(0, at));
  const std::string_view before = part.substr(at - left, left), behind = part.substr(at);
  const int length = utf8_sequence(behind);
  // A user-defined symbol or a character map may hold bytes that are no characters.
  if (length <= 0 || left == 0) return false;
  // A word model looks up whole words, so it can only be cut between them.
  if (proto_.trainer_spec().model_type() == TrainerSpec::WORD)
    return behind.starts_with(kSpaceSymbol);
  return !joined_pairs().joins(utf8_code_point(before, static_cast<int>(left)),
                               utf8_code_point(behind, length));
}

const JoinedPairs& SentencePiece::joined_pairs() const {
  std::call_once(pairs_once_, [&] {
    std::vector<std::string_view> pieces;
    for (int id = 0; id < model_->GetPieceSize(); ++id) {
      if (!model_->IsByte(id) && !model_->IsControl(id)) pieces.push_back(model_->IdToPiece(id));
    }
    pairs_.emplace(pieces);
  });
  return *pairs_;
}

}  // namespace

bool looks_like_sentencepiece(std::string_view content) {
  bool has_pieces = false;
  return read_protobuf(content,
                       [&](const ProtobufField& field) {
                         has_pieces |= field.number == 1;  // ModelProto.pieces
                         return true;
                       }) &&
         has_pieces;
}

std::unique_ptr<Tokenizer> parse_sentencepiece(std::string content, const std::string& source) {
  show_sentencepiece_log(false);
  if (!looks_like_sentencepiece(content)) {
    fail(ErrorKind::data, source + ": not a SentencePiece model");
  }
  return std::make_unique<SentencePiece>(std::move(content), source);
}

void show_sentencepiece_log(bool show) {
  constexpr int kInfo = 0, kFatal = 3;
  sentencepiece::logging::SetMinLogLevel(show ? kInfo : kFatal);
}

}  // namespace mythos
