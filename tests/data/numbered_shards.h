#pragma once
#include <memory>
#include <numeric>
#include <vector>

#include "data/shards/shards.h"
#include "number_tokenizer.h"
#include "scratch.h"

namespace mythos::test {

// Shards whose train split is the stream first, first+1, first+2, … cut into documents of the given
// lengths, without BOS and EOS, so that each token tells its place.
class NumberedShards {
 public:
  explicit NumberedShards(const std::vector<uint64_t>& lengths, uint32_t first = 0,
                          int64_t vocab_size = 1 << 22)
      : lengths_(lengths) {
    ShardWriterOptions options;
    options.eos = false;
    tokens_ = std::accumulate(lengths.begin(), lengths.end(), uint64_t{0});
    options.tokens_per_file = tokens_ < 10000 ? 300 : tokens_ / 3;
    options.tokens_per_frame = tokens_ < 10000 ? 32 : 4096;
    const NumberTokenizer tokenizer(vocab_size);
    ShardWriter writer(scratch_ / "s", tokenizer, options);
    std::vector<uint32_t> ids;
    for (const uint64_t length : lengths) {
      ids.resize(length);
      std::iota(ids.begin(), ids.end(), first);
      writer.add(ShardDirectory::Split::train, ids, ids.size());
      first += static_cast<uint32_t>(length);
    }
    writer.commit();
    shards_ = std::make_unique<ShardDirectory>(scratch_ / "s");
  }

  const ShardDirectory& shards() const { return *shards_; }
  const std::vector<uint64_t>& lengths() const { return lengths_; }
  uint64_t tokens() const { return tokens_; }

 private:
  Scratch scratch_;
  std::vector<uint64_t> lengths_;
  uint64_t tokens_ = 0;
  std::unique_ptr<ShardDirectory> shards_;
};

// Documents of 50 tokens and a shorter last one.
inline std::vector<uint64_t> fifties(uint64_t tokens) {
  std::vector<uint64_t> lengths(tokens / 50, 50);
  if (tokens % 50 > 0) lengths.push_back(tokens % 50);
  return lengths;
}

}  // namespace mythos::test
