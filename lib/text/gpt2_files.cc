#include "text/gpt2_files.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "text/hf_json.h"

namespace mythos {
namespace {

using nlohmann::json;

constexpr const char* kSpecial[] = {"<|endoftext|>", "<s>", "</s>", "<pad>", "<unk>", "<mask>"};

fs::path merges_beside(const fs::path& vocab) {
  return vocab.parent_path() / "merges.txt";
}

json read_merges(const fs::path& path) {
  json merges = json::array();
  for (std::string& line : split(read_file(path), '\n')) {
    if (line.ends_with('\r')) line.pop_back();
    const bool is_version = merges.empty() && line.starts_with("#version");
    if (!line.empty() && !is_version) merges.push_back(std::move(line));
  }
  return merges;
}

}  // namespace

bool is_gpt2_vocab(const fs::path& path) {
  std::error_code status;
  return path.filename() == "vocab.json" && fs::is_regular_file(merges_beside(path), status);
}

std::string gpt2_tokenizer_json(const fs::path& vocab, const std::string& content) {
  const json ids = parse_hf_json(content, vocab.string());
  if (!ids.is_object()) {
    fail(ErrorKind::data, vocab.string() + ": expected an object of tokens and ids");
  }
  json added = json::array();
  for (const char* name : kSpecial) {
    const auto id = ids.find(name);
    if (id != ids.end()) added.push_back({{"id", *id}, {"content", name}, {"special", true}});
  }
  const json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  return json{
      {"added_tokens", added},
      {"pre_tokenizer", bytes},
      {"decoder", bytes},
      {"model", {{"type", "BPE"}, {"vocab", ids}, {"merges", read_merges(merges_beside(vocab))}}}}
      .dump();
}

}  // namespace mythos
