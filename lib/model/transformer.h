#pragma once
#include "model/verbs.h"

namespace mythos {

// What a forward pass leaves: the hidden state after the final norm, [B,S,D] in the compute type,
// or, where tokens exit by a rule that compares outputs, the logits that it has formed already.
struct Output {
  Value hidden, logits;
};

// The recurrent-depth transformer, embedding → prelude → T loops of the core with the input
// injected → coda → norm. The one text of the forward pass, for training, prefill and decoding
// alike. With `last_only` the output is that of the last position.
Output transformer(Verbs& v, const ModelConfig& config, const Weights& w, const Exit& exit = {},
                   bool last_only = false);

}  // namespace mythos
