#include "text/tokenizer.h"

#include "base/error.h"
#include "text/hf_tokenizer.h"
#include "text/sentencepiece.h"
#include "text/tiktoken.h"
#include "text/utf8.h"

namespace mythos {
namespace {

// Names under which a directory may carry its tokenizer; then "tokenizer.ENCODING.tiktoken".
constexpr std::string_view kCarriedNames[] = {"tokenizer.model", "tokenizer.json",
                                              "tokenizer.tiktoken"};

// "FILE:ENCODING" taken apart, unless there is a file of that whole name.
std::pair<fs::path, std::string> split_encoding(const fs::path& path) {
  const std::string text = path.string();
  const size_t colon = text.rfind(':');
  std::error_code ignored;
  if (colon == text.npos || fs::exists(path, ignored) ||
      !fs::exists(text.substr(0, colon), ignored)) {
    return {path, std::string(encoding_of_file_name(path.filename().string()))};
  }
  return {text.substr(0, colon), text.substr(colon + 1)};
}

}  // namespace

Tokenizer::Tokenizer(std::string file_content, std::string file_name)
    : file_content_(std::move(file_content)),
      file_name_(std::move(file_name)),
      fingerprint_(tokenizer_fingerprint(file_content_, file_name_)) {}

std::vector<uint32_t> Tokenizer::encode(std::string_view text, Specials specials) const {
  std::vector<uint32_t> ids;
  encode(text, ids, specials);
  return ids;
}

std::string Tokenizer::decode(std::span<const uint32_t> ids) const {
  std::string text;
  for (const uint32_t id : ids) {
    const std::string_view bytes = token_bytes(id);
    text += bytes;
    if (!bytes.empty()) continue;
    if (const auto name = special_names().find(id); name != special_names().end()) {
      text += name->second;
    }
  }
  return text;
}

const std::unordered_map<uint32_t, std::string>& Tokenizer::special_names() const {
  std::call_once(special_names_once_, [&] {
    for (SpecialToken& token : special_tokens()) special_names_[token.id] = std::move(token.name);
  });
  return special_names_;
}

std::vector<int32_t> Tokenizer::byte_lengths() const {
  std::vector<int32_t> lengths(static_cast<size_t>(vocab_size()));
  for (size_t id = 0; id < lengths.size(); ++id) {
    lengths[id] = static_cast<int32_t>(token_bytes(static_cast<uint32_t>(id)).size());
  }
  return lengths;
}

std::string tokenizer_fingerprint(std::string_view file_content, std::string_view file_name) {
  Checksum sum;
  const std::string_view encoding = encoding_of_file_name(file_name);
  sum.update(file_content.data(), file_content.size());
  sum.update(encoding.data(), encoding.size());
  return sum.hex();
}

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& path) {
  const auto [file, encoding] = split_encoding(path);
  std::string content = read_file(file);
  if (content.empty()) fail(ErrorKind::data, file.string() + ": the tokenizer file is empty");
  if (looks_like_tiktoken(content)) {
    return parse_tiktoken(std::move(content), file.string(), encoding);
  }
  if (file != path) {
    fail(
        ErrorKind::usage,
        file.string() + ": not a tiktoken rank file, so it takes no encoding ('" + encoding + "')");
  }
  if (looks_like_json(content)) return parse_hf_tokenizer(std::move(content), file.string());
  if (!looks_like_sentencepiece(content)) {
    fail(ErrorKind::data,
         file.string() +
             ": not a tokenizer (expected a SentencePiece model, a tiktoken rank file or a Hugging "
             "Face tokenizer.json).\nMake one with 'mythos vocab'.");
  }
  return parse_sentencepiece(std::move(content), file.string());
}

std::unique_ptr<Tokenizer> load_carried_tokenizer(const fs::path& directory) {
  for (const std::string_view name : kCarriedNames) {
    if (fs::exists(directory / name)) return load_tokenizer(directory / name);
  }
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!encoding_of_file_name(name).empty()) return load_tokenizer(entry.path());
  }
  fail(ErrorKind::data, directory.string() +
                            ": carries no tokenizer (expected tokenizer.model, tokenizer.json or "
                            "tokenizer.tiktoken there)");
}

std::string StreamDecoder::push(uint32_t id) {
  pending_ += tokenizer_.token_bytes(id);
  size_t complete = 0;
  while (complete < pending_.size()) {
    const int length = utf8_sequence(std::string_view(pending_).substr(complete));
    if (length < 0) break;
    complete += static_cast<size_t>(length == 0 ? 1 : length);
  }
  std::string out = pending_.substr(0, complete);
  pending_.erase(0, complete);
  return out;
}

std::string StreamDecoder::finish() {
  return std::exchange(pending_, {});
}

}  // namespace mythos
