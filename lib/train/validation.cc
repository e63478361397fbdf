#include "train/validation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mythos {

bool has_validation_split(const ShardDirectory& data) {
  return data.tokens(ShardDirectory::Split::val) >= 2;
}

Validation validate(const ModelConfig& config, const Weights& weights,
                    const std::vector<DataSource>& sources,
                    const std::vector<int32_t>& byte_lengths, const LikelihoodOptions& options) {
  double sum = 0;
  for (const DataSource& source : sources) {
    if (has_validation_split(*source.shards)) sum += source.weight;
  }
  Validation out;
  double bytes_per_token = 0;
  for (const DataSource& source : sources) {
    if (!has_validation_split(*source.shards)) continue;
    const double share = source.weight / sum;
    LikelihoodOptions own = options;
    if (options.max_tokens > 0) {
      const auto tokens = std::llround(share * static_cast<double>(options.max_tokens));
      own.max_tokens = std::max<int64_t>(tokens, std::min(options.seq_len, options.max_tokens));
    }
    const Likelihood found = evaluate(config, weights, *source.shards, byte_lengths, own);
    out.loops = found.loops;
    out.loss += share * found.loss();
    bytes_per_token += share * static_cast<double>(found.bytes) / static_cast<double>(found.tokens);
    out.sources.push_back({source.shards->path(), found.loss(), found.bits_per_byte()});
  }
  out.bits_per_byte = out.sources.size() == 1 ? out.sources[0].bits_per_byte
                                              : out.loss / std::numbers::ln2 / bytes_per_token;
  return out;
}

}  // namespace mythos
