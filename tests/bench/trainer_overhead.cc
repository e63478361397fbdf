// What the trainer adds to the bare step: the time of a step in a run of train(), with its data,
// metrics and log, beside that of its parts alone on batches that are at hand. Then what grouping
// by depth is worth where each sequence draws its own (train.loops_per = "sequence"): a step whose
// sequences go in groups of one depth, beside one in which all run as deep as the deepest, and one
// in which they go one by one. The ways take turns, and are measured in this process's CPU time, so
// that other programs disturb them little; prints milliseconds, median over the rounds, and ratios.
//
//   trainer_overhead PRESET [ROUNDS] [ASSIGNMENT...]
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <type_traits>
#include <vector>

#include "../scratch.h"
#include "../small_data.h"
#include "base/log.h"
#include "data/sample/sampler.h"
#include "train/balance.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/step.h"
#include "train/trainer.h"

using namespace mythos;

namespace {

constexpr int64_t kSteps = 20;

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Steps on batches that were drawn before.
class BareSteps {
 public:
  BareSteps(const Config& config, const ShardDirectory& data)
      : config_(config),
        model_(config.model, at::kCPU),
        optimizer_(model_.parameters, config.train) {
    model_.parameters.initialize(config.model, 1);
    Sampler::Options options;
    options.batch_size = config.train.batch_size;
    options.seq_len = config.train.seq_len;
    options.packing = config.train.packing;
    options.document_begins = config.train.masks_documents();
    Sampler sampler({{&data, 1}}, ShardDirectory::Split::train, options);
    for (int64_t i = 0; i < kSteps; ++i) batches_.push_back(sampler.next());
  }

  // The time of a step whose groups are groups_of(step, batch).
  template <class F>
  double seconds(F&& groups_of) {
    const double start = cpu_seconds();
    for (int64_t i = 0; i < kSteps; ++i) {
      const StepResult step = forward_backward(config_, model_.parameters,
                                               groups_of(i, batches_[static_cast<size_t>(i)]),
                                               config_.train.tokens_per_step(), at::kFloat);
      optimizer_.step(schedule_factor(config_.train, i));
      optimizer_.zero_grad();
      balance_router_bias(config_.model, model_.parameters, step.expert_load,
                          config_.train.balance_rate);
    }
    return (cpu_seconds() - start) / static_cast<double>(kSteps);
  }

 private:
  const Config& config_;
  Model model_;
  GroupedOptimizer optimizer_;
  std::vector<Batch> batches_;
};

// The time from the first gradients of a run to the last, so that the start is left out.
double trained_seconds(const Config& config, const fs::path& scratch) {
  TrainOptions options;
  options.config = config;
  options.config->train.steps = kSteps + 1;
  options.data = {{scratch / "shards", std::nullopt}};
  options.run = scratch / "run";
  options.overwrite = true;
  options.device = "cpu";
  double first = 0, last = 0;
  options.after_backward = [&](int64_t step, const Parameters&) {
    if (step == 0) first = cpu_seconds();
    last = cpu_seconds();
  };
  train(options);
  return (last - first) / static_cast<double>(kSteps);
}

// The batch's sequences, each as a batch.
std::vector<Batch> rows_of(const Batch& batch) {
  std::vector<Batch> rows;
  for (int64_t row = 0; row < batch.batch_size; ++row) {
    const auto part = [&](const auto& values) {
      const auto begin = values.begin() + row * batch.seq_len;
      return std::decay_t<decltype(values)>(begin, begin + batch.seq_len);
    };
    Batch one{part(batch.inputs), part(batch.targets), {}, 1, batch.seq_len};
    if (!batch.document_begins.empty()) one.document_begins = part(batch.document_begins);
    rows.push_back(std::move(one));
  }
  return rows;
}

struct Way {
  const char* name;
  std::function<double()> seconds;
};

// Prints each way's time, and its ratio to that of the last way.
void compare(int rounds, const std::vector<Way>& ways) {
  std::vector<std::vector<double>> times(ways.size());
  for (int round = 0; round <= rounds; ++round) {
    for (size_t i = 0; i < ways.size(); ++i) {
      const double seconds = ways[i].seconds();
      if (round > 0) times[i].push_back(seconds);  // the first warms up
    }
  }
  for (size_t i = 0; i < ways.size(); ++i) {
    std::vector<double> ratios;
    for (size_t k = 0; k < times[i].size(); ++k) ratios.push_back(times[i][k] / times.back()[k]);
    std::printf("%-18s %9.3f ms  ratio %.4f\n", ways[i].name, 1e3 * median(times[i]),
                median(ratios));
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "trainer_overhead PRESET [ROUNDS] [ASSIGNMENT...]\n");
    return 2;
  }
  at::set_num_threads(1);
  set_log_level(LogLevel::error);
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  const Scratch scratch;
  write_small_shards(scratch / "shards", 2000);
  const ShardDirectory data(scratch / "shards");
  Config config = load_preset(argv[1]);
  for (int i = 3; i < argc; ++i) set_value(config, argv[i]);
  config.model.vocab_size = data.manifest().vocab_size;
  config.train.compute_type = ComputeType::fp32;
  config.train.warmup_steps = 5;
  config.train.val_every = config.train.save_every = 0;
  config.train.steps = kSteps;
  config.train.loop_sampling = LoopSampling::fixed;
  BareSteps bare(config, data);
  const LoopDistribution mean = loop_distribution(config.train, config.model);
  const auto plain = [&](int64_t, const Batch& batch) {
    return std::vector<DepthGroup>{{batch, mean.max}};
  };
  compare(rounds, {{"trainer", [&] { return trained_seconds(config, scratch.path()); }},
                   {"bare", [&] { return bare.seconds(plain); }}});

  TrainConfig drawn = config.train;
  drawn.loop_sampling = LoopSampling::poisson;
  drawn.loops_per = LoopsPer::sequence;
  const LoopDistribution depths = loop_distribution(drawn, config.model);
  const auto loops_of = [&](int64_t step, const Batch& batch) {
    return loops_of_sequences(depths, 1, step, batch.batch_size);
  };
  const auto grouped = [&](int64_t step, const Batch& batch) {
    return depth_groups({batch}, loops_of(step, batch));
  };
  const auto deepest = [&](int64_t step, const Batch& batch) {
    return std::vector<DepthGroup>{{batch, std::ranges::max(loops_of(step, batch))}};
  };
  const auto one_by_one = [&](int64_t step, const Batch& batch) {
    std::vector<Batch> rows = rows_of(batch);
    const std::vector<int64_t> loops = loops_of(step, batch);
    std::vector<DepthGroup> groups;
    for (size_t i = 0; i < rows.size(); ++i) groups.push_back({rows[i], loops[i]});
    return groups;
  };
  compare(rounds, {{"all at the deepest", [&] { return bare.seconds(deepest); }},
                   {"one by one", [&] { return bare.seconds(one_by_one); }},
                   {"grouped", [&] { return bare.seconds(grouped); }}});
  return 0;
}
