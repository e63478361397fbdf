#pragma once
#include "text/tokenizer.h"

namespace mythos::test {

// Ids are bytes; the ids behind them, up to the last, are there to fill shards with numbers. The
// last but one is BOS, the last EOS.
class NumberTokenizer : public Tokenizer {
 public:
  explicit NumberTokenizer(int64_t vocab_size)
      : Tokenizer("numbers " + std::to_string(vocab_size), "tokenizer.test"),
        vocab_size_(vocab_size) {
    set_boundaries(static_cast<uint32_t>(vocab_size - 2), static_cast<uint32_t>(vocab_size - 1));
  }
  int64_t vocab_size() const override { return vocab_size_; }
  void encode(std::string_view text, std::vector<uint32_t>& ids, Specials) const override {
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  }
  std::string_view token_bytes(uint32_t id) const override {
    return id < 256 ? std::string_view(bytes_).substr(id, 1) : std::string_view();
  }
  std::string piece(uint32_t id) const override { return std::to_string(id); }
  std::vector<SpecialToken> special_tokens() const override { return {}; }

 private:
  static std::string all_bytes() {
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
    return bytes;
  }
  int64_t vocab_size_;
  std::string bytes_ = all_bytes();
};

}  // namespace mythos::test
