#include "text/tiktoken/tekken.h"

#include <iterator>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "text/hf/hf_json.h"
#include "text/hf/hf_tokenizer.h"
#include "text/stages/staged_tokenizer.h"
#include "text/tiktoken/base64.h"

namespace mythos {
namespace {

// The names of special tokens, by id, for files that list none.
constexpr const char* kUnlisted[] = {"<unk>",
                                     "<s>",
                                     "</s>",
                                     "[INST]",
                                     "[/INST]",
                                     "[AVAILABLE_TOOLS]",
                                     "[/AVAILABLE_TOOLS]",
                                     "[TOOL_RESULTS]",
                                     "[/TOOL_RESULTS]",
                                     "[TOOL_CALLS]",
                                     "[IMG]",
                                     "<pad>",
                                     "[IMG_BREAK]",
                                     "[IMG_END]",
                                     "[PREFIX]",
                                     "[MIDDLE]",
                                     "[SUFFIX]",
                                     "[SYSTEM_PROMPT]",
                                     "[/SYSTEM_PROMPT]",
                                     "[TOOL_CONTENT]"};

std::vector<std::string> read_special_names(const HfJson& json, uint32_t count) {
  std::vector<std::string> names(count);
  if (json.is_null()) {
    for (uint32_t id = 0; id < std::size(kUnlisted) && id < count; ++id) names[id] = kUnlisted[id];
  }
  for (size_t i = 0; i < json.size(); ++i) {
    const HfJson rank = json.at(i)["rank"];
    const uint32_t id = rank.id();
    if (id >= count) {
      rank.refuse(strprintf("%u is not below config.default_num_special_tokens, %u", id, count));
    }
    if (!names[id].empty()) rank.refuse(strprintf("%u comes a second time", id));
    names[id] = json.at(i)["token_str"].text();
    if (names[id].empty()) json.at(i)["token_str"].refuse("the name is empty");
  }
  std::set<std::string> seen;
  for (uint32_t id = 0; id < count; ++id) {
    if (names[id].empty()) names[id] = strprintf("<SPECIAL_%u>", id);
    if (!seen.insert(names[id]).second) {
      json.refuse("two special tokens are named '" + escaped(names[id], 40) + "'");
    }
  }
  return names;
}

// Reads the vocabulary of `size` ids; the first `specials` of them stay empty.
BpeParts read_vocabulary(const HfJson& json, uint32_t specials, uint32_t size) {
  BpeParts bpe(Vocabulary(size, size_t{8} * size));
  std::string bytes;
  for (uint32_t rank = 0; specials + rank < size; ++rank) {
    const HfJson token = json.at(rank);
    if (token["rank"].id() != rank) {
      token["rank"].refuse(strprintf("expected %u, found ", rank) + token["rank"].shown());
    }
    const HfJson base64 = token["token_bytes"];
    bytes.clear();
    if (!decode_base64(base64.text(), bytes)) base64.refuse(base64.shown() + " is not base64");
    bpe.vocabulary.set(specials + rank, bytes);
    if (!bpe.vocabulary.index(specials + rank)) {
      base64.refuse("the token has another rank too");
    }
  }
  bpe.whole_pieces = true;
  if (const int byte = bpe.find_byte_ids(); byte >= 0) {
    json.refuse(strprintf("the byte 0x%02X has no rank; each of the 256 bytes needs one", byte));
  }
  return bpe;
}

}  // namespace

bool looks_like_tekken(std::string_view content) {
  return looks_like_json(content) && content.find("\"default_num_special_tokens\"") != content.npos;
}

std::unique_ptr<Tokenizer> parse_tekken(std::string content, const std::string& source) {
  const nlohmann::json json = parse_hf_json(content, source);
  const HfJson root(json, source, ""), config = root["config"], vocab = root["vocab"];
  const uint32_t size = config["default_vocab_size"].id(),
                 specials = config["default_num_special_tokens"].id();
  if (size <= specials || vocab.size() < size - specials) {
    config["default_vocab_size"].refuse(
        strprintf("%u needs %u special tokens and as many ranks as remain, but there are %u", size,
                  specials, vocab.size()));
  }
  const std::vector<std::string> names = read_special_names(root["special_tokens"], specials);
  TokenizerParts parts(read_vocabulary(vocab, specials, size));
  parts.vocab_size = size;
  const HfJson pattern = config["pattern"];
  try {
    parts.pre_tokenizer.add_split(pattern.text());
  } catch (const Error& error) {
    pattern.refuse(error);
  }
  for (uint32_t id = 0; id < specials; ++id) {
    parts.added.add({.name = names[id], .id = id});
    if (names[id] == "<s>") parts.bos = id;
    if (names[id] == "</s>") parts.eos = id;
  }
  return make_staged_tokenizer(std::move(parts), std::move(content), "tekken.json");
}

}  // namespace mythos
