#include "text/tokenizer.h"

#include "base/error.h"
#include "text/sentencepiece.h"
#include "text/utf8.h"

namespace mythos {
namespace {

// Names under which a directory may carry its tokenizer.
constexpr std::string_view kCarriedNames[] = {"tokenizer.model"};

}  // namespace

Tokenizer::Tokenizer(std::string file_content, std::string file_name)
    : file_content_(std::move(file_content)),
      file_name_(std::move(file_name)),
      fingerprint_(checksum(file_content_)) {}

std::vector<uint32_t> Tokenizer::encode(std::string_view text, Specials specials) const {
  std::vector<uint32_t> ids;
  encode(text, ids, specials);
  return ids;
}

std::string Tokenizer::decode(std::span<const uint32_t> ids) const {
  std::string text;
  for (const uint32_t id : ids) text += token_bytes(id);
  return text;
}

std::vector<int32_t> Tokenizer::byte_lengths() const {
  std::vector<int32_t> lengths(static_cast<size_t>(vocab_size()));
  for (size_t id = 0; id < lengths.size(); ++id) {
    lengths[id] = static_cast<int32_t>(token_bytes(static_cast<uint32_t>(id)).size());
  }
  return lengths;
}

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& path) {
  std::string content = read_file(path);
  if (content.empty()) fail(ErrorKind::data, path.string() + ": the tokenizer file is empty");
  if (!looks_like_sentencepiece(content)) {
    fail(ErrorKind::data, path.string() +
                              ": not a tokenizer that this version reads (expected a SentencePiece "
                              "model). Make one with 'mythos vocab'.");
  }
  return parse_sentencepiece(std::move(content), path.string());
}

std::unique_ptr<Tokenizer> load_carried_tokenizer(const fs::path& directory) {
  for (const std::string_view name : kCarriedNames) {
    if (fs::exists(directory / name)) return load_tokenizer(directory / name);
  }
  fail(ErrorKind::data, directory.string() + ": carries no tokenizer (expected " +
                            std::string(kCarriedNames[0]) + " there)");
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
