#include "text/sentencepiece.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "base/error.h"
#include "base/strings.h"
#include "text/added_tokens.h"
#include "text/protobuf.h"
#include "text/utf8.h"

// Declared in none of the public headers of SentencePiece.
namespace sentencepiece::logging {
void SetMinLogLevel(int level);
}

namespace mythos {
namespace {

constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";  // U+2581
constexpr uint64_t kUnigram = 1, kBpe = 2;                 // TrainerSpec.ModelType

// The parts of a ModelProto that the library's public interface does not tell. Field numbers and
// defaults are those of sentencepiece_model.proto.
struct ModelFacts {
  size_t pieces = 0;
  uint64_t model_type = kUnigram;
  bool byte_fallback = false;
  bool whitespace_as_suffix = false;
  bool has_charsmap = false;
  bool dummy_prefix = true;
  bool remove_extra_whitespaces = true;
};

bool read_model_facts(std::string_view content, ModelFacts& facts) {
  return read_protobuf(content, [&](const ProtobufField& field) {
    if (field.number == 1) ++facts.pieces;
    if (field.number == 2) {
      return read_protobuf(field.bytes, [&](const ProtobufField& trainer) {
        if (trainer.number == 3) facts.model_type = trainer.value;
        if (trainer.number == 24) facts.whitespace_as_suffix = trainer.value != 0;
        if (trainer.number == 35) facts.byte_fallback = trainer.value != 0;
        return true;
      });
    }
    if (field.number == 3) {
      return read_protobuf(field.bytes, [&](const ProtobufField& normalizer) {
        if (normalizer.number == 2) facts.has_charsmap = !normalizer.bytes.empty();
        if (normalizer.number == 3) facts.dummy_prefix = normalizer.value != 0;
        if (normalizer.number == 4) facts.remove_extra_whitespaces = normalizer.value != 0;
        return true;
      });
    }
    return true;
  });
}

std::string piece_bytes(std::string_view piece) {
  std::string bytes;
  while (!piece.empty()) {
    const bool space = piece.starts_with(kSpaceSymbol);
    bytes += space ? ' ' : piece[0];
    piece.remove_prefix(space ? kSpaceSymbol.size() : 1);
  }
  return bytes;
}

uint64_t pair_key(char32_t left, char32_t right) {
  return uint64_t{left} << 32 | right;
}

class SentencePiece : public Tokenizer {
 public:
  SentencePiece(std::string content, const ModelFacts& facts, const std::string& source);

  int64_t vocab_size() const override { return processor_.GetPieceSize(); }
  void encode(std::string_view text, std::vector<uint32_t>& ids, Specials specials) const override;
  std::string_view token_bytes(uint32_t id) const override;
  std::string piece(uint32_t id) const override;
  std::vector<SpecialToken> special_tokens() const override;

 private:
  static std::optional<uint32_t> control(int id) {
    return id < 0 ? std::nullopt : std::optional<uint32_t>(id);
  }
  void check_id(uint32_t id) const;
  void build_token_bytes();
  void encode_section(std::string_view text, bool begins, std::vector<uint32_t>& ids) const;
  void encode_verbatim(std::string_view text, std::vector<uint32_t>& ids) const;
  void encode_run(std::string_view run, std::vector<uint32_t>& ids) const;
  void encode_piece(std::string_view text, std::vector<uint32_t>& ids) const;
  void encode_bytes(std::string_view bytes, std::vector<uint32_t>& ids) const;
  size_t safe_cut(std::string_view run, size_t wanted) const;
  bool is_safe_cut(std::string_view run, size_t at) const;
  const std::vector<uint64_t>& joined_pairs() const;

  sentencepiece::SentencePieceProcessor processor_;
  ModelFacts facts_;
  AddedTokens controls_;
  bool verbatim_ = false;  // the normalizer leaves valid UTF-8 as it is
  std::array<uint32_t, 256> byte_ids_ = {};
  std::string bytes_;              // of all tokens, one after the other
  std::vector<uint32_t> offsets_;  // [V+1] into bytes_
  mutable std::once_flag pairs_once_;
  mutable std::vector<uint64_t> pairs_;
};

SentencePiece::SentencePiece(std::string content, const ModelFacts& facts,
                             const std::string& source)
    : Tokenizer(std::move(content), "tokenizer.model"), facts_(facts) {
  verbatim_ = !facts_.has_charsmap && !facts_.remove_extra_whitespaces;
  std::string model = file_content();
  // A repeated message field is merged into the first: this turns add_dummy_prefix off, because the
  // pieces of text between invalid bytes are encoded one by one and only the first has a prefix.
  if (verbatim_) model += std::string_view("\x1a\x02\x18\x00", 4);
  const auto status = processor_.LoadFromSerializedProto(model);
  if (!status.ok()) {
    fail(ErrorKind::data, source + ": not a usable SentencePiece model: " + status.error_message());
  }
  set_boundaries(control(processor_.bos_id()), control(processor_.eos_id()));
  build_token_bytes();
  for (SpecialToken& token : special_tokens()) {
    controls_.add({.name = std::move(token.name), .id = token.id});
  }
}

void SentencePiece::build_token_bytes() {
  const int size = processor_.GetPieceSize();
  offsets_.reserve(size + 1);
  offsets_.push_back(0);
  for (int id = 0; id < size; ++id) {
    if (processor_.IsByte(id)) {
      // "<0xHH>"
      const std::string& name = processor_.IdToPiece(id);
      const auto byte = static_cast<uint8_t>(std::stoul(name.substr(3, 2), nullptr, 16));
      byte_ids_[byte] = static_cast<uint32_t>(id);
      bytes_ += static_cast<char>(byte);
    } else if (!processor_.IsControl(id) && !processor_.IsUnknown(id)) {
      bytes_ += piece_bytes(processor_.IdToPiece(id));
    }
    offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
}

void SentencePiece::check_id(uint32_t id) const {
  if (id >= static_cast<uint64_t>(vocab_size())) {
    fail(ErrorKind::data, strprintf("token id %u is outside the vocabulary of %lld", id,
                                    static_cast<long long>(vocab_size())));
  }
}

std::string_view SentencePiece::token_bytes(uint32_t id) const {
  check_id(id);
  return std::string_view(bytes_).substr(offsets_[id], offsets_[id + 1] - offsets_[id]);
}

std::string SentencePiece::piece(uint32_t id) const {
  check_id(id);
  return processor_.IdToPiece(static_cast<int>(id));
}

std::vector<SpecialToken> SentencePiece::special_tokens() const {
  std::vector<SpecialToken> tokens;
  for (int id = 0; id < processor_.GetPieceSize(); ++id) {
    if (processor_.IsControl(id))
      tokens.push_back({processor_.IdToPiece(id), static_cast<uint32_t>(id)});
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

// `begins`: at the beginning of the text, where a model may add a space.
void SentencePiece::encode_section(std::string_view text, bool begins,
                                   std::vector<uint32_t>& ids) const {
  if (text.empty()) return;
  if (!verbatim_) return encode_piece(text, ids);
  if (!facts_.dummy_prefix || !begins) return encode_verbatim(text, ids);
  std::string padded(text);
  padded.insert(facts_.whitespace_as_suffix ? padded.size() : 0, 1, ' ');
  encode_verbatim(padded, ids);
}

// Runs of text that SentencePiece keeps as they are go to it; the bytes between become byte pieces.
void SentencePiece::encode_verbatim(std::string_view text, std::vector<uint32_t>& ids) const {
  size_t begin = 0, i = 0;
  while (i < text.size()) {
    const unsigned char lead = static_cast<unsigned char>(text[i]);
    if (lead != 0 && lead < 0x80) {
      ++i;
      continue;
    }
    const int length = lead == 0 ? 0 : utf8_sequence(text.substr(i));
    const bool space_symbol = facts_.byte_fallback && text.substr(i).starts_with(kSpaceSymbol);
    if (length > 0 && !space_symbol) {
      i += static_cast<size_t>(length);
      continue;
    }
    encode_run(text.substr(begin, i - begin), ids);
    const size_t size = space_symbol ? kSpaceSymbol.size() : 1;
    encode_bytes(text.substr(i, size), ids);
    i += size;
    begin = i;
  }
  encode_run(text.substr(begin), ids);
}

void SentencePiece::encode_bytes(std::string_view bytes, std::vector<uint32_t>& ids) const {
  for (const char c : bytes) {
    ids.push_back(facts_.byte_fallback ? byte_ids_[static_cast<unsigned char>(c)]
                                       : static_cast<uint32_t>(processor_.unk_id()));
  }
}

// The library takes about a hundred bytes of memory per byte of text, so a long run is given to it
// in parts, cut only where no piece of the vocabulary could join the two sides: the ids are those
// of the whole. A unigram model adds up scores in single precision, where ties may fall otherwise
// after a cut; its parts are large, so that only very long documents are cut at all.
void SentencePiece::encode_run(std::string_view run, std::vector<uint32_t>& ids) const {
  constexpr size_t kBpeBytes = 1 << 14, kUnigramBytes = 1 << 21;
  const bool can_cut = facts_.model_type == kUnigram || facts_.model_type == kBpe;
  const size_t part_bytes = facts_.model_type == kBpe ? kBpeBytes : kUnigramBytes;
  while (can_cut && run.size() > part_bytes) {
    const size_t cut = safe_cut(run, part_bytes);
    encode_piece(run.substr(0, cut), ids);
    run.remove_prefix(cut);
  }
  encode_piece(run, ids);
}

void SentencePiece::encode_piece(std::string_view text, std::vector<uint32_t>& ids) const {
  if (text.empty()) return;
  std::vector<int> found;
  const auto status = processor_.Encode(text, &found);
  if (!status.ok())
    fail(ErrorKind::internal, std::string("SentencePiece: ") + status.error_message());
  ids.insert(ids.end(), found.begin(), found.end());
}

// The last safe place up to `wanted`, else the first one after it, else the end.
size_t SentencePiece::safe_cut(std::string_view run, size_t wanted) const {
  for (size_t at = wanted; at > 0; --at) {
    if (is_safe_cut(run, at)) return at;
  }
  for (size_t at = wanted + 1; at < run.size(); ++at) {
    if (is_safe_cut(run, at)) return at;
  }
  return run.size();
}

bool SentencePiece::is_safe_cut(std::string_view run, size_t at) const {
  const auto continues = [&](size_t i) {
    return (static_cast<unsigned char>(run[i]) & 0xC0) == 0x80;
  };
  if (continues(at)) return false;
  size_t left = at - 1;
  while (left > 0 && continues(left)) --left;
  const auto code_point = [&](size_t i) {
    return run[i] == ' ' ? char32_t{0x2581}
                         : utf8_code_point(run.substr(i), utf8_sequence(run.substr(i)));
  };
  const char32_t right = code_point(at);
  const auto& pairs = joined_pairs();
  if (std::binary_search(pairs.begin(), pairs.end(), pair_key(code_point(left), right)))
    return false;
  // Neighbouring unknown characters become one <unk> where there is no byte fallback.
  const std::string_view character =
      run[at] == ' ' ? kSpaceSymbol : run.substr(at, utf8_sequence(run.substr(at)));
  return facts_.byte_fallback || !processor_.IsUnknown(processor_.PieceToId(character));
}

// Every pair of neighbouring characters inside some piece, sorted.
const std::vector<uint64_t>& SentencePiece::joined_pairs() const {
  std::call_once(pairs_once_, [&] {
    for (int id = 0; id < processor_.GetPieceSize(); ++id) {
      if (processor_.IsByte(id) || processor_.IsControl(id)) continue;
      std::string_view piece = processor_.IdToPiece(id);
      char32_t left = 0;
      for (bool first = true; !piece.empty(); first = false) {
        const int length = std::max(utf8_sequence(piece), 1);
        char32_t right = utf8_code_point(piece, length);
        if (right == ' ') right = 0x2581;
        if (!first) pairs_.push_back(pair_key(left, right));
        left = right;
        piece.remove_prefix(static_cast<size_t>(length));
      }
    }
    std::sort(pairs_.begin(), pairs_.end());
    pairs_.erase(std::unique(pairs_.begin(), pairs_.end()), pairs_.end());
  });
  return pairs_;
}

}  // namespace

bool looks_like_sentencepiece(std::string_view content) {
  ModelFacts facts;
  return read_model_facts(content, facts) && facts.pieces > 0;
}

std::unique_ptr<Tokenizer> parse_sentencepiece(std::string content, const std::string& source) {
  show_sentencepiece_log(false);
  ModelFacts facts;
  if (!read_model_facts(content, facts) || facts.pieces == 0) {
    fail(ErrorKind::data, source + ": not a SentencePiece model");
  }
  return std::make_unique<SentencePiece>(std::move(content), facts, source);
}

void show_sentencepiece_log(bool show) {
  constexpr int kInfo = 0, kFatal = 3;
  sentencepiece::logging::SetMinLogLevel(show ? kInfo : kFatal);
}

}  // namespace mythos
