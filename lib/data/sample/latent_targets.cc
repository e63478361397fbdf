#include "data/sample/latent_targets.h"

#include <algorithm>

namespace mythos {

void drop_latent_targets(Batch& batch, int64_t latent_token) {
  if (latent_token < 0) return;
  std::replace(batch.targets.begin(), batch.targets.end(), latent_token, int64_t{-1});
}

void drop_cut_latents(Batch& batch, int64_t latent_token) {
  if (latent_token < 0) return;
  for (int64_t row = 0; row < batch.batch_size; ++row) {
    const auto begin = batch.inputs.begin() + row * batch.seq_len, end = begin + batch.seq_len;
    const auto behind = std::find_if(begin, end, [&](int64_t id) { return id != latent_token; });
    const auto targets = batch.targets.begin() + row * batch.seq_len;
    std::fill(targets, targets + (behind - begin), int64_t{-1});
    std::fill(begin, behind, behind == end ? 0 : *behind);
  }
  drop_latent_targets(batch, latent_token);
}

}  // namespace mythos
