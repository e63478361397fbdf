#pragma once
#include "config/config.h"
#include "model/bench_model.h"

namespace mythos {

// Does "mythos bench train": times whole training steps (forward, backward, clipping, optimizer,
// balancing of the experts) at each loop count. A step has train.grad_accum micro-batches of
// train.batch_size × train.seq_len random tokens. Changes the model's parameters.
BenchResult bench_train(const Config& config, const Model& model, const ModelBench& options);

}  // namespace mythos
