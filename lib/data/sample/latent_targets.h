#pragma once
#include "data/sample/sampler.h"

namespace mythos {

// Sets targets that are the latent token (model.latent_token; -1: none) to -1: its positions are
// inputs that a model makes itself (COCONUT, model/latent.h), and nothing predicts them.
void drop_latent_targets(Batch& batch, int64_t latent_token);

// drop_latent_targets() for windows that are cut from a stream anywhere. A window, or a document in
// it where the batch tells documents apart, that begins within latent thoughts lacks the state that
// they continue: there each one's id is that of the first token behind them, and no target counts.
void drop_cut_latents(Batch& batch, int64_t latent_token);

}  // namespace mythos
