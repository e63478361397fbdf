#include "text/hf_tokenizer.h"

#include <algorithm>
#include <map>
#include <span>
#include <unordered_map>

#include "base/error.h"
#include "base/strings.h"
#include "text/byte_alphabet.h"
#include "text/byte_bpe.h"
#include "text/hf_json.h"
#include "text/hf_normalizer.h"
#include "text/hf_pre_tokenizer.h"

namespace mythos {
namespace {

using Ids = std::unordered_map<std::string_view, uint32_t>;  // keys stand in the JSON

constexpr const char* kBosNames[] = {"<|begin_of_text|>", "<|startoftext|>", "<s>", "<bos>",
                                     "<|bos|>"};
constexpr const char* kEosNames[] = {"<|endoftext|>", "<|end_of_text|>", "</s>",
                                     "<eos>",         "<|eos|>",         "<|return|>",
                                     "<|eot_id|>",    "<|im_end|>"};

// Parts that must be absent for ids and text to be what this reads.
void refuse_unsupported(const HfJson& root) {
  const HfJson model = root["model"], decoder = root["decoder"];
  // Files older than 0.8 of the library leave the type out.
  const bool untyped = model["type"].is_null() && !model["merges"].is_null();
  if (!untyped && model["type"].text() != "BPE") {
    model["type"].refuse(model["type"].shown() + " is not supported (supported: BPE)");
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model[key].is_null() && !model[key].text().empty()) {
      model[key].refuse(model[key].shown() + " is not supported (supported: null)");
    }
  }
  if (!model["dropout"].is_null() && model["dropout"].value() != 0) {
    model["dropout"].refuse(model["dropout"].shown() + " is not supported (supported: null)");
  }
  if (!decoder.is_null() && decoder.type() != "ByteLevel") {
    decoder.refuse(decoder["type"].shown() + " is not supported (supported: ByteLevel)");
  }
}

Ids read_ids(const HfJson& vocab) {
  if (!vocab.value().is_object() || vocab.value().empty()) {
    vocab.refuse("expected an object of tokens and ids");
  }
  Ids ids;
  ids.reserve(vocab.value().size());
  for (auto at = vocab.value().begin(); at != vocab.value().end(); ++at) {
    ids.emplace(at.key(),
                HfJson::is_id(at.value()) ? at.value().get<uint32_t>() : vocab[at.key()].id());
  }
  return ids;
}

Vocabulary read_vocabulary(const HfJson& json, const Ids& ids, std::vector<uint32_t>& verbatim) {
  uint32_t last = 0;
  size_t bytes = 0;
  for (const auto& [key, id] : ids) {
    last = std::max(last, id);
    bytes += key.size();
  }
  Vocabulary vocabulary(last + 1, bytes);
  for (const auto& [key, id] : ids) {
    const auto decoded = from_byte_letters(key);
    if (!vocabulary.set(id, decoded ? *decoded : key)) {
      json[std::string(key)].refuse(strprintf("another token has the id %u too", id));
    }
    // No text gives a token with other letters.
    if (decoded) vocabulary.index(id);
    if (!decoded) verbatim.push_back(id);
  }
  std::sort(verbatim.begin(), verbatim.end());
  return vocabulary;
}

// "a b" or ["a", "b"].
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

PairMerges read_merges(const HfJson& json, const Ids& ids) {
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

BpeParts read_bpe(const HfJson& model, const Ids& ids, std::vector<uint32_t>& verbatim) {
  BpeParts bpe(read_vocabulary(model["vocab"], ids, verbatim));
  bpe.merges = read_merges(model["merges"], ids);
  bpe.whole_pieces = model["ignore_merges"].flag(false);
  bpe.fuse_unknown = model["fuse_unk"].flag(false);
  bool complete = true;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    bpe.byte_ids[static_cast<size_t>(byte)] = bpe.vocabulary.find({&c, 1});
    complete &= bpe.byte_ids[static_cast<size_t>(byte)] != Vocabulary::kNone;
  }
  if (complete) return bpe;
  if (model["byte_fallback"].flag(false)) {
    model["byte_fallback"].refuse("true is supported only where the vocabulary has all 256 bytes");
  }
  if (const HfJson unknown = model["unk_token"]; !unknown.is_null()) {
    const auto found = ids.find(unknown.text());
    if (found == ids.end()) unknown.refuse(unknown.shown() + " is not in model.vocab");
    bpe.unknown_id = found->second;
  }
  return bpe;
}

void read_added_tokens(const HfJson& json, const Ids& ids, ByteBpeParts& parts) {
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
    if (found != ids.end() ? found->second != token.id
                           : token.id < parts.bpe.vocabulary.size() &&
                                 !parts.bpe.vocabulary.bytes(token.id).empty()) {
      item["id"].refuse(strprintf("%u is not the id of '%s' in model.vocab", token.id,
                                  escaped(token.name, 40).c_str()));
    }
    if (const auto [at, fresh] = seen.emplace(token.id, token.name); !fresh) {
      item["id"].refuse(
          strprintf("%u is the id of '%s' too", token.id, escaped(at->second, 40).c_str()));
    }
    parts.vocab_size = std::max(parts.vocab_size, int64_t{token.id} + 1);
    token.text = token.second_pass ? parts.normalizer.apply(token.name) : token.name;
    const std::string spelling = token.text;
    parts.added.add(std::move(token), spelling);
  }
}

// What a TemplateProcessing puts before and behind a single text.
void read_template(const HfJson& processor, ByteBpeParts& parts) {
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
    const uint32_t id = ids.at(0).id();
    if (id >= parts.vocab_size) ids.refuse(strprintf("%u is outside the vocabulary", id));
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
             type != "RobertaProcessing") {
    processor.refuse(processor["type"].shown() +
                     " is not supported (supported: ByteLevel, TemplateProcessing, "
                     "RobertaProcessing, Sequence)");
  }
}

std::optional<uint32_t> find_usual(std::span<const char* const> names, const Ids& ids,
                                   const ByteBpeParts& parts) {
  for (const char* name : names) {
    for (const AddedToken& token : parts.added.all()) {
      if (token.special && token.name == name) return token.id;
    }
  }
  for (const char* name : names) {
    const auto found = ids.find(name);
    if (found == ids.end() || parts.bpe.whole_pieces) continue;
    if (!parts.bpe.merges->gives(found->second)) return found->second;
  }
  return std::nullopt;
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
  refuse_unsupported(root);
  check_post_processor(root["post_processor"]);
  const HfJson model = root["model"];
  const Ids ids = read_ids(model["vocab"]);
  std::vector<uint32_t> verbatim;
  ByteBpeParts parts(read_bpe(model, ids, verbatim));
  parts.normalizer = read_hf_normalizer(root["normalizer"]);
  HfPreTokenizer pre_tokenizer = read_hf_pre_tokenizer(root["pre_tokenizer"]);
  if (!pre_tokenizer.byte_level) {
    root["pre_tokenizer"].refuse(
        "no ByteLevel pre-tokenizer, so this is not byte-level BPE, which is the only kind "
        "supported");
  }
  parts.pre_tokenizer = std::move(pre_tokenizer.steps);
  parts.byte_letters = true;
  parts.verbatim_ids = std::move(verbatim);
  parts.vocab_size = parts.bpe.vocabulary.size();
  read_added_tokens(root["added_tokens"], ids, parts);
  read_template(root["post_processor"], parts);
  if (!parts.bos) parts.bos = find_usual(kBosNames, ids, parts);
  if (!parts.eos) parts.eos = find_usual(kEosNames, ids, parts);
  return make_byte_bpe(std::move(parts), std::move(content), "tokenizer.json");
}

}  // namespace mythos
