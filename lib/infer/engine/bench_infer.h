#pragma once
#include "infer/engine/decoder.h"
#include "model/bench_model.h"

namespace mythos {

struct InferBench : ModelBench {
  int64_t seq_len = 512;     // prefill
  int64_t context = 128;     // decode: tokens in the cache of each sequence
  int64_t tokens = 16;       // decode: of one sample, in each sequence
  int64_t batch_size = 1;    // decode: sequences of one step
  DecodeConfig decode;       // but for its exit rule: all loops are measured
  PrepareParameter prepare;  // fills the model's values where they are not yet there
};

// "mythos bench prefill": a prompt of random tokens, to the logits of its last.
BenchResult bench_prefill(Model&& model, const InferBench& options);

// "mythos bench decode": random tokens one by one behind a context, each to its logits; they are
// then forgotten again.
BenchResult bench_decode(Model&& model, const InferBench& options);

}  // namespace mythos
