#pragma once
#include "model/model.h"

namespace mythos {

// What enters the first layer for ids [B,S] that hold the configuration's latent_token, [B,S,D] in
// the compute type: embeddings, but at a latent thought the hidden state, behind coda and final
// norm, of the position before it (COCONUT: Hao et al. 2024, "Training Large Language Models to
// Reason in a Continuous Latent Space", section 3). The thoughts of a document are filled in one by
// one, those of several documents together, each by a pass over what comes before, so that
// gradients reach back through all of them.
// Undefined where no id is the latent token. Waits for a device, to learn where the thoughts are.
// Fails (data) where a sequence or a document begins with a latent thought.
Tensor latent_inputs(const ModelConfig& config, const Weights& weights, const Tensor& ids,
                     const ForwardOptions& options);

}  // namespace mythos
