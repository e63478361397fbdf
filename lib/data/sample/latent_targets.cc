#include "data/sample/latent_targets.h"

#include <algorithm>

namespace mythos {
namespace {

// The positions from `place` in the batch on that are of one sequence, and of one document where
// the batch tells documents apart.
int64_t piece_length(const Batch& batch, int64_t place) {
  int64_t length = batch.seq_len - place % batch.seq_len;
  if (batch.document_begins.empty()) return length;
  const auto begins = batch.document_begins.begin() + place;
  return std::find_if(begins, begins + length, [&](int32_t at) { return at != *begins; }) - begins;
}

}  // namespace

void drop_latent_targets(Batch& batch, int64_t latent_token) {
  if (latent_token < 0) return;
  std::replace(batch.targets.begin(), batch.targets.end(), latent_token, int64_t{-1});
}

void drop_cut_latents(Batch& batch, int64_t latent_token) {
  if (latent_token < 0) return;
  for (int64_t place = 0; place < batch.batch_size * batch.seq_len;) {
    const int64_t length = piece_length(batch, place);
    const auto begin = batch.inputs.begin() + place, end = begin + length;
    const auto behind = std::find_if(begin, end, [&](int64_t id) { return id != latent_token; });
    const auto targets = batch.targets.begin() + place;
    std::fill(targets, targets + (behind - begin), int64_t{-1});
    std::fill(begin, behind, behind == end ? 0 : *behind);
    place += length;
  }
  drop_latent_targets(batch, latent_token);
}

}  // namespace mythos
