#pragma once
#include "nn/bench_model.h"

namespace mythos {

// "mythos bench prefill": a prompt of `seq_len` random tokens, to the logits of its last.
BenchResult bench_prefill(const Model& model, int64_t seq_len, const ModelBench& options);

// "mythos bench decode": `tokens` tokens one by one behind a context of `context` tokens, which are
// then forgotten again.
BenchResult bench_decode(const Model& model, int64_t context, int64_t tokens,
                         const ModelBench& options);

}  // namespace mythos
