#include "text/hf/hf_model.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "text/pieces/bpe_model.h"
#include "text/pieces/byte_alphabet.h"
#include "text/pieces/unigram.h"
#include "text/pieces/word_piece.h"

namespace mythos {
namespace {

// The ids of "<0x00>" to "<0xFF>"; all kNone if the model does not fall back to bytes.
std::array<uint32_t, 256> fallback_ids(const HfJson& model, const HfIds& ids) {
  const bool fallback = model["byte_fallback"].flag(false);
  std::array<uint32_t, 256> out;
  out.fill(Vocabulary::kNone);
  for (size_t byte = 0; fallback && byte < out.size(); ++byte) {
    const auto found = ids.find(strprintf("<0x%02X>", byte));
    if (found != ids.end()) out[byte] = found->second;
  }
  return out;
}

HfIds read_ids(const HfJson& vocab) {
  if (!vocab.value().is_object() || vocab.value().empty()) {
    vocab.refuse("expected an object of tokens and ids");
  }
  HfIds ids;
  ids.reserve(vocab.value().size());
  for (auto at = vocab.value().begin(); at != vocab.value().end(); ++at) {
    ids.emplace(at.key(),
                HfJson::is_id(at.value()) ? at.value().get<uint32_t>() : vocab[at.key()].id());
  }
  return ids;
}

// Reads the vocabulary. Text does not give the tokens named by `special`.
Vocabulary read_vocabulary(const HfJson& json, HfModel& out, bool byte_level,
                           const std::set<std::string>& special = {}) {
  uint32_t last = 0;
  size_t bytes = 0;
  for (const auto& [key, id] : out.ids) {
    last = std::max(last, id);
    bytes += key.size();
  }
  Vocabulary vocabulary(last + 1, bytes);
  for (const auto& [key, id] : out.ids) {
    const auto decoded = byte_level ? from_byte_letters(key) : std::string(key);
    if (!vocabulary.set(id, decoded ? *decoded : key)) {
      json[std::string(key)].refuse(strprintf("another token has the id %u too", id));
    }
    // Text never gives a token whose name has other letters than those of bytes.
    const bool is_text = !key.empty() && (special.empty() || !special.contains(std::string(key)));
    if (decoded && is_text) vocabulary.index(id);
    if (!decoded) out.verbatim_ids.push_back(id);
  }
  std::sort(out.verbatim_ids.begin(), out.verbatim_ids.end());
  return vocabulary;
}

// The two tokens of a merge, written "a b" or ["a", "b"].
std::pair<std::string_view, std::string_view> read_pair(const HfJson& merge) {
  const nlohmann::json& value = merge.value();
  if (value.is_string()) {
    const std::string_view line = value.get_ref<const std::string&>();
    const size_t space = line.find(' ');
    if (space != line.npos && line.find(' ', space + 1) == line.npos) {
      return {line.substr(0, space), line.substr(space + 1)};
    }
  } else if (value.is_array() && value.size() == 2 && value[0].is_string() &&
             value[1].is_string()) {
    return {value[0].get_ref<const std::string&>(), value[1].get_ref<const std::string&>()};
  }
  merge.refuse("expected two tokens, \"a b\" or [\"a\", \"b\"], found " + merge.shown());
}

PairMerges read_merges(const HfJson& json, const HfIds& ids) {
  const size_t count = json.size();
  PairMerges merges(count);
  std::string joined;
  for (size_t i = 0; i < count; ++i) {
    const HfJson merge = json.at(i);
    const auto [left, right] = read_pair(merge);
    joined.assign(left).append(right);
    const auto find = [&](std::string_view token) {
      const auto found = ids.find(token);
      if (found == ids.end()) {
        merge.refuse("the token '" + escaped(token, 40) + "' is not in model.vocab");
      }
      return found->second;
    };
    const uint32_t left_id = find(left), right_id = find(right);
    merges.add(left_id, right_id, find(joined));
  }
  return merges;
}

void refuse_unsupported(const HfJson& model) {
  if (const HfJson prefix = model["continuing_subword_prefix"];
      !prefix.is_null() && !prefix.text().empty()) {
    prefix.refuse(prefix.shown() + " is not supported (supported: null)");
  }
  if (!model["dropout"].is_null() && model["dropout"].value() != 0) {
    model["dropout"].refuse(model["dropout"].shown() + " is not supported (supported: null)");
  }
}

uint32_t read_unknown(const HfJson& name, const HfIds& ids) {
  const auto found = ids.find(name.text());
  if (found == ids.end()) name.refuse(name.shown() + " is not in model.vocab");
  return found->second;
}

// Whether each byte has a token for a piece's end: the byte and the suffix.
bool has_last_bytes(const BpeParts& bpe) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string last = static_cast<char>(byte) + bpe.suffix;
    if (bpe.vocabulary.find(last) == Vocabulary::kNone) return false;
  }
  return true;
}

// Sets the tokens of single bytes. Returns whether each byte has one.
bool read_byte_ids(const HfJson& model, const HfModel& out, BpeParts& bpe) {
  if (bpe.characters) {
    bpe.byte_ids = fallback_ids(model, out.ids);
    return std::ranges::find(bpe.byte_ids, Vocabulary::kNone) == bpe.byte_ids.end();
  }
  const bool fallback = model["byte_fallback"].flag(false);
  const bool complete = bpe.find_byte_ids() < 0 && has_last_bytes(bpe);
  if (fallback && !complete) {
    model["byte_fallback"].refuse("true is supported only where the vocabulary has all 256 bytes");
  }
  return complete;
}

std::unique_ptr<PieceModel> read_bpe(const HfJson& model, bool byte_level, HfModel& out) {
  refuse_unsupported(model);
  out.ids = read_ids(model["vocab"]);
  BpeParts bpe(read_vocabulary(model["vocab"], out, byte_level));
  bpe.characters = !byte_level;
  bpe.merges = read_merges(model["merges"], out.ids);
  bpe.whole_pieces = model["ignore_merges"].flag(false);
  bpe.fuse_unknown = model["fuse_unk"].flag(false);
  if (const HfJson suffix = model["end_of_word_suffix"]; !suffix.is_null()) {
    out.suffix = bpe.suffix = suffix.text();
  }
  if (read_byte_ids(model, out, bpe)) {
    return std::make_unique<BpeModel>(std::move(bpe));
  }
  if (const HfJson unknown = model["unk_token"]; !unknown.is_null()) {
    bpe.unknown_id = read_unknown(unknown, out.ids);
  }
  return std::make_unique<BpeModel>(std::move(bpe));
}

// Reads the vocabulary of a Unigram model: pairs of a token and its score, in the order of ids.
UnigramParts read_scores(const HfJson& vocab, const std::set<std::string>& special, HfModel& out) {
  const size_t size = vocab.size();
  if (size == 0 || size >> 24 != 0) vocab.refuse("expected some tokens, at most 16777216");
  size_t bytes = 0;
  for (size_t i = 0; i < size; ++i) {
    const nlohmann::json& entry = vocab.at(i).value();
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      vocab.at(i).refuse("expected a token and its score, found " + vocab.at(i).shown());
    }
    const std::string_view token = entry[0].get_ref<const std::string&>();
    if (!out.ids.emplace(token, static_cast<uint32_t>(i)).second) {
      vocab.at(i).refuse("the token " + vocab.at(i).shown() + " comes a second time");
    }
    bytes += token.size();
  }
  UnigramParts unigram(Vocabulary(static_cast<uint32_t>(size), bytes));
  for (uint32_t id = 0; id < size; ++id) {
    const nlohmann::json& entry = vocab.value()[id];
    const std::string& token = entry[0].get_ref<const std::string&>();
    unigram.vocabulary.set(id, token);
    if (!token.empty() && !special.contains(token)) unigram.vocabulary.index(id);
    unigram.scores.push_back(entry[1].get<double>());
  }
  return unigram;
}

std::unique_ptr<PieceModel> read_unigram(const HfJson& model, const std::set<std::string>& special,
                                         HfModel& out) {
  UnigramParts unigram = read_scores(model["vocab"], special, out);
  unigram.unknown_id = model["unk_id"].id();
  if (unigram.unknown_id >= unigram.vocabulary.size()) {
    model["unk_id"].refuse(model["unk_id"].shown() + " is not an id of model.vocab");
  }
  unigram.byte_ids = fallback_ids(model, out.ids);
  return std::make_unique<Unigram>(std::move(unigram));
}

std::unique_ptr<PieceModel> read_word_piece(const HfJson& model,
                                            const std::set<std::string>& special, HfModel& out) {
  out.ids = read_ids(model["vocab"]);
  WordPieceParts parts(read_vocabulary(model["vocab"], out, false, special));
  parts.unknown_id = read_unknown(model["unk_token"], out.ids);
  if (const HfJson prefix = model["continuing_subword_prefix"]; !prefix.is_null()) {
    parts.prefix = prefix.text();
  }
  if (const HfJson most = model["max_input_chars_per_word"]; !most.is_null()) {
    if (!most.value().is_number_unsigned()) {
      most.refuse("expected a number of characters, found " + most.shown());
    }
    parts.max_characters = most.value().get<size_t>();
  }
  return std::make_unique<WordPiece>(std::move(parts));
}

// The model's type, which files from before version 0.8 of the library leave out.
std::string model_type(const HfJson& model) {
  if (!model["type"].is_null()) return model["type"].text();
  if (!model["max_input_chars_per_word"].is_null()) return "WordPiece";
  return model["merges"].is_null() ? "Unigram" : "BPE";
}

}  // namespace

HfModel read_hf_model(const HfJson& model, bool byte_level, const std::set<std::string>& special) {
  const std::string type = model_type(model);
  HfModel out;
  if (type == "BPE") {
    out.model = read_bpe(model, byte_level, out);
  } else if (type == "Unigram" || type == "WordPiece") {
    if (byte_level) {
      model["type"].refuse(model["type"].shown() + " of bytes (ByteLevel) is not supported");
    }
    out.model = type == "Unigram" ? read_unigram(model, special, out)
                                  : read_word_piece(model, special, out);
  } else {
    model["type"].refuse(model["type"].shown() +
                         " is not supported (supported: BPE, Unigram, WordPiece)");
  }
  return out;
}

}  // namespace mythos
