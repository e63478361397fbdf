#include "train/books.h"

#include <ATen/ATen.h>

#include <cmath>
#include <span>

#include "base/log.h"
#include "base/strings.h"
#include "config/objective_terms.h"
#include "train/depth_groups.h"
#include "train/objectives.h"
#include "train/train_result.h"

namespace mythos {
Books::Books(const Config& config, const Options& options, TrainResult& result)
    : config_(config),
      counts_skips_(options.counts_skips),
      device_(options.device),
      result_(result),
      metrics_(options.run.empty() ? fs::path() : options.run / "metrics.jsonl",
               options.resumed_step, {config.train.tensorboard, config.train.prometheus}),
      progress_("", config.train.steps, "steps"),
      utilisation_(config, options.device_peak, options.devices) {
  columns_.terms = objective_terms(config.objectives);
  columns_.depths = depth_columns(config);
  if (config.model.ffn == FeedForward::moe) {
    columns_.layers = config.model.core_layers;
    columns_.experts = config.model.n_experts;
  }
  sums_ = at::zeros({counted_numbers() + columns_.count()}, at::dtype(at::kDouble).device(device_));
}

void Books::save(nlohmann::json& state) const {
  state["tokens"] = result_.tokens;
  state["seconds"] = seconds();
  state["interval"] = to_json(interval_);
  if (result_.skipped_steps > 0) state["skipped_steps"] = result_.skipped_steps;
  put_metrics(state, result_);
}

void Books::restore(const nlohmann::json& state) {
  result_.tokens = state.at("tokens");
  seconds_ = state.at("seconds");
  interval_ = interval_from_json(state.at("interval"));
  std::vector<double> sums = {interval_.nats, interval_.grad_norm};
  for (const int64_t sum : {interval_.skipped, interval_.lost_targets, interval_.lost_bytes}) {
    if (counts_skips_) sums.push_back(static_cast<double>(sum));
  }
  const std::vector<double> columns = interval_.columns(columns_);
  sums.insert(sums.end(), columns.begin(), columns.end());
  sums_ = at::tensor(sums, at::kDouble).to(device_);
  result_.skipped_steps = state.value("skipped_steps", int64_t{0});
  skipped_steps_ = result_.skipped_steps - interval_.skipped;
  take_metrics(state, result_);
}

void Books::pause() {
  interval_seconds_ += seconds_since(mark_);
  mark_ = Clock::now();
}

// The numbers of a step, in the order of sums_.
Tensor Books::numbers_of_step(const StepResult& step, const GroupedOptimizer::Update& update,
                              const TargetCount& count) const {
  const Tensor norm = update.norm.to(at::kDouble);
  std::vector<Tensor> numbers;
  if (!update.skipped.defined()) {
    numbers = {at::stack({step.nats, norm}), step.terms, step.depth, step.depth_run};
  } else {
    const Tensor skipped = update.skipped.gt(0);
    const Tensor finite = step.nats.isfinite().logical_and(step.terms.isfinite().all());
    const Tensor lost = skipped.logical_and(finite.logical_not());
    const Tensor one_lost = lost.to(at::kDouble);
    numbers = {at::stack({step.nats.masked_fill(lost, 0), norm.masked_fill(skipped, 0),
                          skipped.to(at::kDouble), one_lost * static_cast<double>(count.targets),
                          one_lost * static_cast<double>(count.bytes)}),
               step.terms.masked_fill(lost, 0), step.depth.masked_fill(lost, 0),
               step.depth_run.masked_fill(lost, 0)};
  }
  numbers.insert(numbers.end(), step.expert_load.begin(), step.expert_load.end());
  return at::cat(numbers);
}

void Books::add(const StepResult& step, const GroupedOptimizer::Update& update,
                const TargetCount& count, std::span<const int64_t> loops) {
  sums_ += numbers_of_step(step, update, count);
  result_.tokens += count.targets;
  ++session_steps_;
  session_tokens_ += count.targets;
  interval_.steps += 1;
  interval_.targets += count.targets;
  interval_.bytes += count.bytes;
  interval_.loops += mean_loops(loops);
  interval_.places += config_.train.tokens_per_step();
  utilisation_.add(loops);
}

const Interval& Books::read() {
  const Tensor sums = sums_.cpu();
  interval_.nats = sums[0].item<double>();
  interval_.grad_norm = sums[1].item<double>();
  interval_.put_columns(columns_,
                        std::span(sums.data_ptr<double>(), static_cast<size_t>(sums.numel()))
                            .subspan(static_cast<size_t>(counted_numbers())));
  if (!counts_skips_) return interval_;
  const auto whole = [&](int64_t i) { return std::llround(sums[i].item<double>()); };
  interval_.skipped = whole(2);
  interval_.lost_targets = whole(3);
  interval_.lost_bytes = whole(4);
  result_.skipped_steps = skipped_steps_ + interval_.skipped;
  return interval_;
}

double Books::write_line(const LineFacts& facts) {
  pause();
  session_seconds_ += interval_seconds_;
  seconds_ += interval_seconds_;
  StepMetrics metrics;
  metrics.step = facts.step;
  metrics.steps = config_.train.steps;
  metrics.tokens = result_.tokens;
  metrics.interval = interval_;
  metrics.loops = facts.loops;
  metrics.lr = facts.lr;
  metrics.seconds = seconds_;
  metrics.data_wait = (facts.waited_seconds - waited_seconds_) / interval_seconds_;
  waited_seconds_ = facts.waited_seconds;
  metrics.tokens_per_second =
      static_cast<double>(session_tokens_ - logged_tokens_) / interval_seconds_;
  logged_tokens_ = session_tokens_;
  metrics.seconds_left = session_seconds_ / static_cast<double>(session_steps_) *
                         static_cast<double>(config_.train.steps - facts.step);
  metrics.loss_scale = facts.loss_scale;
  metrics.rank_spread = facts.rank_spread;
  metrics.mfu = utilisation_.take(interval_seconds_);
  if (counts_skips_) metrics.skipped_steps = result_.skipped_steps;
  metrics_.append(to_json(metrics));
  progress_.line(progress_line(metrics), /*force=*/true);
  shown_ = metrics;
  const double loss = interval_.loss();
  result_.loss = loss;
  result_.bpb = interval_.bits_per_byte();
  result_.tokens_per_second = static_cast<double>(session_tokens_) / session_seconds_;
  skipped_steps_ = result_.skipped_steps;
  interval_ = {};
  interval_seconds_ = 0;
  sums_.zero_();
  return loss;
}

void Books::show_step(int64_t step) {
  if (!stderr_is_terminal()) return;
  shown_.step = step;
  progress_.line(shown_.interval.steps > 0 ? progress_line(shown_)
                                           : strprintf("step %d/%d", step, config_.train.steps));
}

void Books::write_validation(int64_t step, const Validation& found, bool by_source) {
  nlohmann::ordered_json line = {{"step", step},
                                 {"val_loss", found.loss},
                                 {"val_bpb", found.bits_per_byte},
                                 {"loops", found.loops}};
  if (by_source) {
    for (const Validation::Source& source : found.sources) {
      line["sources"].push_back({{"data", source.directory.string()},
                                 {"val_loss", source.loss},
                                 {"val_bpb", source.bits_per_byte}});
    }
  }
  metrics_.append(line);
  log_info(strprintf("validation at step %d: loss %.4f, %.4f bits per byte at %d loops", step,
                     found.loss, found.bits_per_byte, found.loops));
  result_.val_loss = found.loss;
  result_.val_bpb = found.bits_per_byte;
  result_.val_loops = found.loops;
}

}  // namespace mythos
