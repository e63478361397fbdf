#include "text/hf/gpt2_files.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "text/hf/hf_json.h"

namespace mythos {
namespace {

using nlohmann::json;

constexpr const char* kSpecial[] = {"<|startoftext|>", "<|endoftext|>", "<s>",   "</s>",
                                    "<pad>",           "<unk>",         "<mask>"};

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

// The members of tokenizer.json beside "model": of GPT-2's, and of CLIP's models.
constexpr const char* kGpt2Json = R"({
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
  "decoder": {"type": "ByteLevel"},
  "model": {"type": "BPE"}})";
constexpr const char* kClipJson = R"({
  "normalizer": {"type": "Sequence", "normalizers": [
    {"type": "NFC"},
    {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
    {"type": "Lowercase"}]},
  "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
    {"type": "Split", "behavior": "Removed", "invert": true, "pattern":
      {"Regex": "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"}},
    {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]},
  "decoder": {"type": "ByteLevel"},
  "model": {"type": "BPE", "end_of_word_suffix": "</w>"}})";

bool is_clip(const json& ids, const std::string& source) {
  if (!ids.contains("a</w>")) return false;
  if (ids.contains("<|startoftext|>")) return true;
  fail(ErrorKind::data, source + ": its tokens end with '</w>', but they are not CLIP's",
       "Of vocab.json and merges.txt only GPT-2's kind and CLIP's are known. Save the tokenizer as "
       "tokenizer.json.");
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
  json out = json::parse(is_clip(ids, vocab.string()) ? kClipJson : kGpt2Json);
  out["added_tokens"] = added;
  out["model"]["vocab"] = ids;
  out["model"]["merges"] = read_merges(merges_beside(vocab));
  return out.dump();
}

}  // namespace mythos
