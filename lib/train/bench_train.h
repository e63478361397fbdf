#pragma once
#include "config/config.h"
#include "model/bench_model.h"

namespace mythos {

// "mythos bench train": whole training steps (forward, backward, clipping, AdamW, balancing of the
// experts) of train.batch_size × train.seq_len random tokens, train.grad_accum times, at each loop
// count. Changes the model's parameters.
BenchResult bench_train(const Config& config, const Model& model, const ModelBench& options);

}  // namespace mythos
