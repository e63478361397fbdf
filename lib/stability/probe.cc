#include "stability/probe.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"
#include "base/strings.h"

namespace mythos {
namespace {

constexpr int64_t kSequenceTokens = 256;
constexpr int64_t kBatchSequences = 4;

// Cuts ids into batches of full sequences, and the rest into a batch of one shorter sequence.
std::vector<Tensor> cut(const std::vector<int64_t>& ids, int64_t max_seq_len, at::Device device) {
  const int64_t length = std::min(kSequenceTokens, max_seq_len);
  const auto total = static_cast<int64_t>(ids.size());
  std::vector<Tensor> batches;
  for (int64_t first = 0; first < total;) {
    const int64_t rows = std::clamp<int64_t>((total - first) / length, 1, kBatchSequences);
    const int64_t columns = std::min(length, total - first);
    Tensor batch = at::empty({rows, columns}, at::kLong);
    std::copy_n(ids.begin() + first, batch.numel(), batch.data_ptr<int64_t>());
    batches.push_back(batch.to(device));
    first += batch.numel();
  }
  return batches;
}

}  // namespace

std::vector<Tensor> random_probe(const ModelConfig& config, int64_t max_tokens, uint64_t seed,
                                 at::Device device) {
  constexpr uint64_t kStream = 0x70726f6265;  // "probe"
  Rng rng(seed, kStream);
  std::vector<int64_t> ids(static_cast<size_t>(max_tokens));
  for (int64_t& id : ids) {
    id = static_cast<int64_t>(rng.below(static_cast<uint64_t>(config.vocab_size)));
  }
  return cut(ids, config.max_seq_len, device);
}

std::vector<Tensor> data_probe(const ModelConfig& config, const ShardDirectory& data,
                               int64_t max_tokens, at::Device device) {
  using Split = ShardDirectory::Split;
  if (data.manifest().vocab_size > config.vocab_size) {
    fail(ErrorKind::data,
         strprintf(
             "%s: its tokenizer has %s tokens, but the model's vocabulary has %s (vocab_size)",
             data.path(), with_commas(data.manifest().vocab_size), with_commas(config.vocab_size)));
  }
  const Split split = data.tokens(Split::val) > 0 ? Split::val : Split::train;
  const uint64_t count = std::min<uint64_t>(data.tokens(split), static_cast<uint64_t>(max_tokens));
  if (count == 0) {
    fail(ErrorKind::data, data.path().string() + ": holds no tokens to measure on");
  }
  std::vector<uint32_t> tokens(count);
  data.read(split, 0, tokens);
  return cut({tokens.begin(), tokens.end()}, config.max_seq_len, device);
}

}  // namespace mythos
