#include "train/bench_train.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "device/device.h"
#include "train/balance.h"
#include "train/loss_scaler.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/step.h"

namespace mythos {
namespace {

// Random micro-batches for one step.
std::vector<Batch> random_batches(const Config& config, uint64_t seed) {
  const TrainConfig& train = config.train;
  const int64_t places = train.batch_size * train.seq_len;
  std::vector<Batch> batches;
  for (int64_t i = 0; i < train.grad_accum; ++i) {
    const std::vector<uint32_t> ids =
        random_ids(places + 1, config.model.vocab_size, seed + static_cast<uint64_t>(i));
    Batch batch;
    batch.batch_size = train.batch_size;
    batch.seq_len = train.seq_len;
    batch.inputs.assign(ids.begin(), ids.end() - 1);
    batch.targets.assign(ids.begin() + 1, ids.end());
    if (train.masks_documents()) batch.document_begins.assign(static_cast<size_t>(places), 0);
    batches.push_back(std::move(batch));
  }
  return batches;
}

ModelWork work_of_step(const Config& config, int64_t loops) {
  const auto tokens = static_cast<double>(config.train.tokens_per_step());
  return {tokens, training_flops(config, loops, config.train.seq_len) * tokens, 0};
}

}  // namespace

BenchResult bench_train(const Config& config, const Model& model, const ModelBench& options) {
  ModelBenchRun run("train", model, options);
  const TrainConfig& train = config.train;
  run.facts()["batch_size"] = train.batch_size;
  run.facts()["seq_len"] = train.seq_len;
  run.facts()["grad_accum"] = train.grad_accum;
  const std::vector<Batch> batches = random_batches(config, options.seed);
  GroupedOptimizer optimizer(model.parameters, train);
  std::optional<LossScaler> scaler;
  if (options.compute_type == at::kHalf) {
    scaler.emplace(train, model.parameters.items().front().tensor.device());
  }
  const Tensor loss_scale = scaler ? scaler->scale() : Tensor();
  const double factor = schedule_factor(train, 0);
  for (const int64_t loops : run.loops()) {
    const auto passes = [&] {
      return forward_backward(config, model.parameters, batches, train.tokens_per_step(), loops,
                              options.compute_type, loss_scale);
    };
    const auto update = [&] { return optimizer.step(factor, loss_scale); };
    run.measure_row(loops, work_of_step(config, loops), [&] {
      const StepResult step = passes();
      const Tensor found_inf = update().found_inf;
      optimizer.zero_grad();
      balance_router_bias(model.config, model.parameters, step.expert_load, train.balance_rate,
                          found_inf);
      if (scaler) scaler->update(found_inf);
    });
    if (!options.profile) {
      passes();
      run.measure_part("optimizer_share", update);
      optimizer.zero_grad();
    }
  }
  return run.finish();
}

}  // namespace mythos
