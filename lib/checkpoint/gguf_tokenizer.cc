#include "checkpoint/gguf_tokenizer.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "text/carried_name.h"
#include "text/sentencepiece/protobuf.h"
#include "text/split/splitter.h"

namespace mythos {
namespace {

using nlohmann::json;

// llama.cpp's types of tokens, which SentencePiece numbers alike.
enum TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5 };

[[noreturn]] void refuse_tokenizer(const std::string& why) {
  fail(
      ErrorKind::usage,
      "--format gguf: llama.cpp would not read text as this model does: the tokenizer " + why + ".",
      "Use --format hf or safetensors.");
}

struct GgufTokens {
  std::vector<std::string> names;
  std::vector<int32_t> types;
  std::vector<float> scores;  // SentencePiece

  void set(size_t id, std::string name, int32_t type) {
    if (id >= names.size()) refuse_tokenizer("has more tokens than the model's vocabulary");
    names[id] = std::move(name);
    types[id] = type;
  }
};

// Every id of the model's vocabulary, none with a token yet.
GgufTokens unused_tokens(int64_t vocab_size) {
  GgufTokens tokens;
  for (int64_t id = 0; id < vocab_size; ++id) tokens.names.push_back(strprintf("[PAD%d]", id));
  tokens.types.assign(tokens.names.size(), kUnused);
  return tokens;
}

// --- Byte-level BPE of a tokenizer.json --------------------------------------------------------

// A field that may be absent or null.
std::string text_of(const json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool flag_of(const json& object, const char* key, bool otherwise) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() ? found->get<bool>() : otherwise;
}

json field_of(const json& object, const char* key) {
  return object.is_object() && object.contains(key) ? object.at(key) : json();
}

bool is_byte_level(const json& step, bool cuts_words) {
  return text_of(step, "type") == "ByteLevel" && !flag_of(step, "add_prefix_space", true) &&
         flag_of(step, "use_regex", true) == cuts_words;
}

// llama.cpp's name of the steps that cut text into words.
std::string word_rules(const json& file, bool whole_words_first) {
  const json steps = field_of(file, "pre_tokenizer");
  if (is_byte_level(steps, true) && !whole_words_first) return "gpt-2";
  const json list = field_of(steps, "pretokenizers");
  if (list.is_array() && list.size() == 2) {
    const json& first = list[0];
    const std::string type = text_of(first, "type");
    if (type == "Digits" && flag_of(first, "individual_digits", false) &&
        is_byte_level(list[1], true) && !whole_words_first) {
      return "smollm";
    }
    const std::string regex = text_of(field_of(first, "pattern"), "Regex");
    if (type == "Split" && text_of(first, "behavior") == "Isolated" &&
        !flag_of(first, "invert", false) && is_byte_level(list[1], false)) {
      if (regex == kLlama3Pattern) return whole_words_first ? "llama-bpe" : "dbrx";
      if (regex == kQwenPattern && !whole_words_first) return "qwen2";
    }
  }
  refuse_tokenizer(
      "cuts text into words by other rules than GPT-2's, Llama 3's, Qwen 2's or SmolLM's");
}

void require_byte_level(const json& file, const json& model) {
  const std::string type = text_of(model, "type");
  if (type != "BPE" && !type.empty()) {
    refuse_tokenizer("is of the kind " + escaped(type) +
                     ", and only byte-level BPE is written from a tokenizer.json");
  }
  const json normalizer = field_of(file, "normalizer");
  if (text_of(normalizer, "type") == "NFC") {
    log_warning("llama.cpp does not normalise text to NFC, as this tokenizer does");
  } else if (!normalizer.is_null()) {
    refuse_tokenizer("changes text before it is cut (normalizer), which llama.cpp does not");
  }
  if (!text_of(model, "continuing_subword_prefix").empty() ||
      !text_of(model, "end_of_word_suffix").empty()) {
    refuse_tokenizer("marks the parts of words, which llama.cpp does not");
  }
}

std::vector<std::string> merges_of(const json& model) {
  std::vector<std::string> merges;
  for (const json& merge : model.at("merges")) {
    merges.push_back(merge.is_string()
                         ? merge.get<std::string>()
                         : merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>());
  }
  return merges;
}

void add_byte_level(const json& file, GgufTokens& tokens, GgufMetadata& metadata) {
  const json& model = file.at("model");
  require_byte_level(file, model);
  metadata.emplace_back("tokenizer.ggml.model", "gpt2");
  metadata.emplace_back("tokenizer.ggml.pre",
                        word_rules(file, flag_of(model, "ignore_merges", false)));
  for (const auto& [name, id] : model.at("vocab").items()) {
    tokens.set(id.get<size_t>(), name, kNormal);
  }
  for (const json& added : field_of(file, "added_tokens")) {
    tokens.set(added.at("id").get<size_t>(), added.at("content").get<std::string>(),
               flag_of(added, "special", false) ? kControl : kUserDefined);
  }
  metadata.emplace_back("tokenizer.ggml.merges", merges_of(model));
}

// --- SentencePiece (sentencepiece_model.proto) -------------------------------------------------

struct PieceRules {
  bool bpe = false, byte_fallback = false, space_behind = false;  // TrainerSpec
  bool charsmap = false, add_space = true, remove_spaces = true, escape_spaces = true;
  std::optional<uint32_t> unknown;
};

void read_rules(const ProtobufField& field, PieceRules& rules) {
  constexpr uint32_t kTrainer = 2, kNormalizer = 3;
  constexpr uint64_t kBpe = 2;
  read_protobuf(field.bytes, [&](const ProtobufField& rule) {
    if (field.number == kTrainer) {
      if (rule.number == 3) rules.bpe = rule.value == kBpe;
      if (rule.number == 24) rules.space_behind = rule.value != 0;
      if (rule.number == 35) rules.byte_fallback = rule.value != 0;
    } else if (field.number == kNormalizer) {
      if (rule.number == 2) rules.charsmap = !rule.bytes.empty();
      if (rule.number == 3) rules.add_space = rule.value != 0;
      if (rule.number == 4) rules.remove_spaces = rule.value != 0;
      if (rule.number == 5) rules.escape_spaces = rule.value != 0;
    }
    return true;
  });
}

void require_rules(const PieceRules& rules) {
  if (!rules.bpe) {
    refuse_tokenizer(
        "is no BPE model of SentencePiece, and llama.cpp's 'llama' joins pieces as BPE does");
  }
  if (!rules.byte_fallback) refuse_tokenizer("has no byte fallback, which llama.cpp expects");
  if (rules.charsmap || rules.remove_spaces || !rules.escape_spaces || rules.space_behind) {
    refuse_tokenizer("changes characters or spaces before it cuts text, which llama.cpp does not");
  }
}

void add_pieces(const Tokenizer& tokenizer, GgufTokens& tokens, GgufMetadata& metadata) {
  constexpr uint32_t kPiece = 1;
  PieceRules rules;
  tokens.scores.assign(tokens.names.size(), 0.f);
  size_t id = 0;
  read_protobuf(tokenizer.file_content(), [&](const ProtobufField& field) {
    if (field.number != kPiece) {
      read_rules(field, rules);
      return true;
    }
    std::string name;
    int32_t type = kNormal;
    float score = 0;
    read_protobuf(field.bytes, [&](const ProtobufField& part) {
      if (part.number == 1) name = std::string(part.bytes);
      if (part.number == 2) {
        const auto bits = static_cast<uint32_t>(part.value);
        std::memcpy(&score, &bits, sizeof score);
      }
      if (part.number == 3) type = static_cast<int32_t>(part.value);
      return true;
    });
    tokens.set(id, std::move(name), type);
    tokens.scores[id] = score;
    if (type == kUnknown) rules.unknown = static_cast<uint32_t>(id);
    ++id;
    return true;
  });
  require_rules(rules);
  metadata.emplace_back("tokenizer.ggml.model", "llama");
  metadata.emplace_back("tokenizer.ggml.pre", "default");
  metadata.emplace_back("tokenizer.ggml.scores", tokens.scores);
  metadata.emplace_back("tokenizer.ggml.add_space_prefix", rules.add_space);
  if (rules.unknown) metadata.emplace_back("tokenizer.ggml.unknown_token_id", *rules.unknown);
}

}  // namespace

void add_gguf_tokenizer(const Tokenizer& tokenizer, int64_t vocab_size, bool adds_bos,
                        GgufMetadata& metadata) {
  const CarriedName name = parse_carried_name(tokenizer.file_name()).value();
  GgufTokens tokens = unused_tokens(vocab_size);
  if (name.suffix == "model") {
    add_pieces(tokenizer, tokens, metadata);
  } else if (name.stem == "tokenizer" && name.suffix == "json") {
    add_byte_level(json::parse(tokenizer.file_content()), tokens, metadata);
  } else {
    refuse_tokenizer("is a " + name.stem + "." + name.suffix +
                     " of ranks, and only a tokenizer.json or a tokenizer.model is written");
  }
  const auto bos = tokenizer.bos_id(), eos = tokenizer.eos_id();
  for (const auto& id : {bos, eos}) {
    if (id) tokens.types.at(*id) = kControl;
  }
  metadata.emplace_back("tokenizer.ggml.tokens", std::move(tokens.names));
  metadata.emplace_back("tokenizer.ggml.token_type", std::move(tokens.types));
  if (bos) metadata.emplace_back("tokenizer.ggml.bos_token_id", *bos);
  if (eos) {
    metadata.emplace_back("tokenizer.ggml.eos_token_id", *eos);
  } else {
    log_warning("the tokenizer has no EOS; llama.cpp will end texts at a token of its own choice");
  }
  metadata.emplace_back("tokenizer.ggml.add_bos_token", adds_bos && bos.has_value());
  metadata.emplace_back("tokenizer.ggml.add_eos_token", false);
}

}  // namespace mythos
