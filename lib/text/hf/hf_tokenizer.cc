#include "text/hf/hf_tokenizer.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "base/error.h"
#include "base/strings.h"
#include "text/hf/hf_decoder.h"
#include "text/hf/hf_json.h"
#include "text/hf/hf_model.h"
#include "text/hf/hf_normalizer.h"
#include "text/hf/hf_pre_tokenizer.h"
#include "text/stages/staged_tokenizer.h"

namespace mythos {
namespace {

constexpr const char* kBosNames[] = {"<|begin_of_text|>", "<|startoftext|>", "<s>", "<bos>",
                                     "<|bos|>"};
constexpr const char* kEosNames[] = {"<|endoftext|>", "<|end_of_text|>", "</s>",
                                     "<eos>",         "<|eos|>",         "<|return|>",
                                     "<|eot_id|>",    "<|im_end|>"};

void read_added_tokens(const HfJson& json, const HfIds& ids, const HfDecoder& decoder,
                       TokenizerParts& parts) {
  std::map<uint32_t, std::string> seen;
  for (size_t i = 0; i < json.size(); ++i) {
    const HfJson item = json.at(i);
    AddedToken token;
    token.name = item["content"].text();
    token.id = item["id"].id();
    token.special = item["special"].flag(false);
    token.lstrip = item["lstrip"].flag(false);
    token.rstrip = item["rstrip"].flag(false);
    token.single_word = item["single_word"].flag(false);
    token.second_pass = item["normalized"].flag(!token.special);
    if (token.name.empty()) continue;
    const auto found = ids.find(token.name);
    if (found != ids.end()
            ? found->second != token.id
            : token.id < parts.vocabulary().size() && !parts.vocabulary().bytes(token.id).empty()) {
      item["id"].refuse(
          strprintf("%u is not the id of '%s' in model.vocab", token.id, escaped(token.name, 40)));
    }
    if (const auto [at, fresh] = seen.emplace(token.id, token.name); !fresh) {
      item["id"].refuse(strprintf("%u is the id of '%s' too", token.id, escaped(at->second, 40)));
    }
    parts.vocab_size = std::max(parts.vocab_size, int64_t{token.id} + 1);
    const std::string spelling =
        token.second_pass ? parts.normalizer.apply(token.name) : token.name;
    token.text = decoder.text_of(token.special ? token.name : spelling);
    parts.added.add(std::move(token), spelling);
  }
}

// The texts that the tokens of the vocabulary decode to. In a byte-level vocabulary with a suffix
// for a word's last token, that suffix becomes the space after the word, as in transformers'
// CLIPTokenizer.
TokenTexts token_texts(const Vocabulary& vocabulary, const HfDecoder& decoder,
                       const std::string& suffix) {
  TokenTexts texts;
  for (uint32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string_view token = vocabulary.bytes(id);
    if (!decoder.byte_level()) {
      texts.add(decoder.text_of(token));
    } else if (token.ends_with(suffix)) {
      texts.add(std::string(token.substr(0, token.size() - suffix.size())) + " ");
    } else {
      texts.add(token);
    }
  }
  return texts;
}

// Sets BOS and EOS to the tokens that a TemplateProcessing, BertProcessing or RobertaProcessing
// puts before and after a single text.
void read_template(const HfJson& processor, TokenizerParts& parts) {
  const auto within = [&](const HfJson& id) {
    if (id.id() >= parts.vocab_size) {
      id.refuse(strprintf("%u is outside the vocabulary", id.id()));
    }
    return id.id();
  };
  const auto second = [&](const HfJson& pair) {
    if (pair.size() != 2) pair.refuse("expected a name and an id, found " + pair.shown());
    return within(pair.at(1));
  };
  if (processor.type() == "BertProcessing" || processor.type() == "RobertaProcessing") {
    parts.bos = second(processor["cls"]);
    parts.eos = second(processor["sep"]);
  }
  if (processor.type() == "Sequence") {
    const HfJson processors = processor["processors"];
    for (size_t i = 0; i < processors.size(); ++i) read_template(processors.at(i), parts);
  }
  if (processor.type() != "TemplateProcessing") return;
  const HfJson single = processor["single"];
  bool behind = false;
  for (size_t i = 0; i < single.size(); ++i) {
    const HfJson special = single.at(i)["SpecialToken"];
    behind |= !single.at(i)["Sequence"].is_null();
    if (special.is_null()) continue;
    const HfJson ids = processor["special_tokens"][special["id"].text()]["ids"];
    if (ids.size() != 1) ids.refuse("expected one id, found " + ids.shown());
    const uint32_t id = within(ids.at(0));
    auto& place = behind ? parts.eos : parts.bos;
    if (!place) place = id;
  }
}

void check_post_processor(const HfJson& processor) {
  const std::string type = processor.type();
  if (type == "Sequence") {
    const HfJson processors = processor["processors"];
    for (size_t i = 0; i < processors.size(); ++i) check_post_processor(processors.at(i));
  } else if (type != "" && type != "ByteLevel" && type != "TemplateProcessing" &&
             type != "RobertaProcessing" && type != "BertProcessing") {
    processor.refuse(processor["type"].shown() +
                     " is not supported (supported: ByteLevel, TemplateProcessing, "
                     "RobertaProcessing, BertProcessing, Sequence)");
  }
}

std::optional<uint32_t> find_usual(std::span<const char* const> names, const HfIds& ids,
                                   const TokenizerParts& parts) {
  for (const char* name : names) {
    for (const AddedToken& token : parts.added.all()) {
      if (token.special && token.name == name) return token.id;
    }
  }
  for (const char* name : names) {
    const auto found = ids.find(name);
    if (found != ids.end() && !parts.model->text_gives(found->second)) return found->second;
  }
  return std::nullopt;
}

// Checks that the decoder reads tokens as bytes in letters if and only if the pre-tokenizer writes
// them so.
void check_byte_level(const HfJson& json, const HfDecoder& decoder, bool byte_level) {
  if (json.is_null() || decoder.byte_level() == byte_level) return;
  json.refuse(json["type"].shown() + (byte_level
                                          ? " is not supported behind the pre-tokenizer ByteLevel"
                                          : " is supported only behind the pre-tokenizer "
                                            "ByteLevel"));
}

std::set<std::string> special_names(const HfJson& added_tokens) {
  std::set<std::string> names;
  for (size_t i = 0; i < added_tokens.size(); ++i) {
    const HfJson token = added_tokens.at(i);
    if (token["special"].flag(false)) names.insert(token["content"].text());
  }
  return names;
}

}  // namespace

bool looks_like_json(std::string_view content) {
  const size_t at = content.find_first_not_of(" \t\r\n");
  return at != content.npos && content[at] == '{';
}

std::unique_ptr<Tokenizer> parse_hf_tokenizer(std::string content, const std::string& source) {
  const nlohmann::json json = parse_hf_json(content, source);
  const HfJson root(json, source, "");
  if (root["model"].is_null()) {
    root.refuse("no member \"model\"; expected a tokenizer.json of Hugging Face's tokenizers");
  }
  check_post_processor(root["post_processor"]);
  HfPreTokenizer pre_tokenizer = read_hf_pre_tokenizer(root["pre_tokenizer"]);
  const HfDecoder decoder(root["decoder"]);
  check_byte_level(root["decoder"], decoder, pre_tokenizer.byte_level);
  HfModel model =
      read_hf_model(root["model"], pre_tokenizer.byte_level, special_names(root["added_tokens"]));
  TokenizerParts parts(std::move(model.model));
  parts.normalizer = read_hf_normalizer(root["normalizer"]);
  parts.pre_tokenizer = std::move(pre_tokenizer.steps);
  parts.byte_letters = pre_tokenizer.byte_level;
  parts.verbatim_ids = std::move(model.verbatim_ids);
  parts.vocab_size = parts.vocabulary().size();
  if (!pre_tokenizer.byte_level || !model.suffix.empty()) {
    parts.texts = token_texts(parts.vocabulary(), decoder, model.suffix);
  }
  if (!pre_tokenizer.byte_level) parts.drops_first_space = decoder.drops_first_space();
  read_added_tokens(root["added_tokens"], model.ids, decoder, parts);
  read_template(root["post_processor"], parts);
  if (!parts.bos) parts.bos = find_usual(kBosNames, model.ids, parts);
  if (!parts.eos) parts.eos = find_usual(kEosNames, model.ids, parts);
  return make_staged_tokenizer(std::move(parts), std::move(content), "tokenizer.json");
}

}  // namespace mythos
