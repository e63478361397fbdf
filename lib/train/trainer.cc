#include "train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/log_file.h"
#include "base/output_path.h"
#include "base/progress.h"
#include "base/strings.h"
#include "data/sample/latent_targets.h"
#include "device/device.h"
#include "device/peaks.h"
#include "dist/single_rank.h"
#include "report/run_record.h"
#include "train/across_ranks.h"
#include "train/balance.h"
#include "train/blow_up.h"
#include "train/depth_groups.h"
#include "train/gradient_sum.h"
#include "train/loss_scaler.h"
#include "train/metrics.h"
#include "train/objectives.h"
#include "train/optimizer.h"
#include "train/run_lock.h"
#include "train/schedule.h"
#include "train/setup.h"
#include "train/sharding.h"
#include "train/step.h"
#include "train/step_guard.h"
#include "train/trained_tensors.h"
#include "train/validation.h"

namespace mythos {
namespace {

using Split = ShardDirectory::Split;

constexpr double kNoLoss = std::numeric_limits<double>::infinity();

// The newest metrics as checkpoints and --json have them; null if there are none yet.
template <class Json>
void put_metrics(Json& json, const TrainResult& result) {
  const auto put = [&](const char* key, const auto& value) {
    json[key] = value ? Json(*value) : Json(nullptr);
  };
  put("loss", result.loss);
  put("bpb", result.bpb);
  put("val_loss", result.val_loss);
  put("val_bpb", result.val_bpb);
  put("val_loops", result.val_loops);
}

void take_metrics(const nlohmann::json& json, TrainResult& result) {
  const auto take = [&](const char* key, auto& target) {
    if (json.contains(key) && !json[key].is_null()) target = json[key];
  };
  take("loss", result.loss);
  take("bpb", result.bpb);
  take("val_loss", result.val_loss);
  take("val_bpb", result.val_bpb);
  take("val_loops", result.val_loops);
}

bool every(int64_t interval, int64_t step) {
  return interval > 0 && step % interval == 0;
}

class Trainer {
 public:
  Trainer(const TrainOptions& options, TrainSetup setup, at::Device device, Ranks& ranks);
  TrainResult run();

 private:
  void restore(const nlohmann::json& state);
  void train_to_the_end();
  std::vector<DepthGroup> groups_of_step(const std::vector<Batch>& batches);
  void train_step();
  Wishes own_wishes() const;
  void log();
  void show_step();
  void validate();
  void save(bool alone = false);
  void save_before_ending();
  void mark_best();

  Tensor numbers_of_step(const StepResult& step, const GroupedOptimizer::Update& update,
                         const TargetCount& count) const;
  int64_t counted_numbers() const { return counts_skips() ? 5 : 2; }
  bool counts_skips() const { return scaler_ || guard_.on(); }
  Tensor asks_to_skip(const StepResult& step, const TargetCount& count, const Tensor& norm);
  void end_bad_steps();
  void roll_back(const std::string& what);
  void load_trained(TensorMap& optimizer, const std::string& origin);
  GroupedOptimizer::NormOfAll norm_of_all() const;
  void put_tensors(CheckpointContent& content, bool alone);
  void read_sums();
  void check_finite();
  void check_scaler();
  void watch_for_blow_up(double loss);
  std::string kept_text() const;
  bool last_step() const { return step_ == train_.steps; }
  bool is_one_of_many() const { return ranks_.size() > 1; }
  bool writes() const { return ranks_.rank() == 0; }
  bool validation_due() const {
    return can_validate_ && step_ > 0 && (every(train_.val_every, step_) || last_step());
  }
  // The seconds since the last call.
  double lap();

  const TrainOptions& options_;
  TrainSetup setup_;
  const TrainConfig& train_;
  Ranks& ranks_;
  RankShare share_;
  at::Device device_;
  at::ScalarType compute_type_;
  std::vector<int32_t> byte_lengths_;
  LoopDistribution loop_distribution_;
  Prefetcher batches_;
  Sharding sharding_;
  GroupedOptimizer optimizer_;
  std::optional<GradientSum> gradient_sum_;  // of many ranks
  Wishes wishes_;                            // of all ranks, for the end of the step
  std::optional<LossScaler> scaler_;         // only in fp16
  MetricsFile metrics_;
  Progress progress_;

  bool can_validate_ = false;
  int64_t step_ = 0, tokens_ = 0;
  nlohmann::json cursor_;      // the sampler's cursor after the last step
  bool between_steps_ = true;  // false while a step changes the weights
  double loops_ = 0;           // of the last step, the mean over its sequences
  double lr_ = 0;              // of the last step
  Interval interval_;          // its nats and grad_norm lie in sums_ until they are read
  // [2] fp64 on the device: the sums of nats and of gradient norms since the last line. Where steps
  // may be skipped [5]: after these the interval's skipped, lost_targets and lost_bytes. Then come
  // the sums of the objective's terms and of depths.
  Tensor sums_;
  int64_t skipped_steps_ = 0;  // up to the last line of metrics
  double waited_seconds_ = 0;  // for batches, up to the last line
  double interval_seconds_ = 0, session_seconds_ = 0, seconds_ = 0;
  Clock::time_point mark_;
  const Clock::time_point process_start_ = Clock::now();
  int64_t session_tokens_ = 0, session_steps_ = 0;
  int64_t logged_tokens_ = 0;  // session_tokens_ at the last line of metrics
  // The last step that was saved, and the last that was to be.
  std::optional<int64_t> saved_step_, tried_step_;
  BlowUpWatch blow_up_;
  StepGuard guard_;
  std::vector<std::string> terms_;  // of the objective, where there are several
  int64_t depths_ = 0;              // that are counted
  // The step of the saved checkpoint with the lowest loss: that of validation if there is any, else
  // that of training.
  std::optional<int64_t> best_step_;
  double best_loss_ = kNoLoss;
  std::optional<int64_t> validated_step_;  // the step of result_.val_loss
  StepMetrics shown_;                      // the newest line of metrics
  TrainResult result_;
};

Sampler make_sampler(const TrainSetup& setup, const RankShare& share, const Ranks& ranks) {
  const TrainConfig& train = setup.config.train;
  Sampler::Options options;
  options.batch_size = share.batch_size;
  options.seq_len = train.seq_len;
  options.rank = ranks.rank();
  options.world = ranks.size();
  options.seed = static_cast<uint64_t>(train.seed);
  options.packing = train.packing;
  options.document_begins = train.masks_documents();
  Sampler sampler(setup.sources(), Split::train, options);
  if (setup.resumed_from) sampler.restore(setup.state.at("cursor"));
  return sampler;
}

Trainer::Trainer(const TrainOptions& options, TrainSetup setup, at::Device device, Ranks& ranks)
    : options_(options),
      setup_(std::move(setup)),
      train_(setup_.config.train),
      ranks_(ranks),
      share_(rank_share(train_, ranks.size())),
      device_(device),
      compute_type_(training_compute_type(train_.compute_type, device)),
      byte_lengths_(setup_.tokenizer->byte_lengths()),
      loop_distribution_(loop_distribution(train_, setup_.config.model)),
      batches_(make_sampler(setup_, share_, ranks), 2 * static_cast<size_t>(share_.grad_accum)),
      sharding_(setup_.config, setup_.model->parameters, ranks),
      optimizer_(setup_.model->parameters, sharding_.own(), train_, norm_of_all()),
      metrics_(writes() ? options.run / "metrics.jsonl" : fs::path(),
               setup_.state.value("step", int64_t{0}), {train_.tensorboard, train_.prometheus}),
      progress_("", train_.steps, "steps"),
      blow_up_(setup_.config.model.vocab_size),
      guard_(train_),
      terms_(objective_terms(setup_.config.objectives)),
      depths_(depth_columns(setup_.config)) {
  if (compute_type_ == at::kHalf) scaler_.emplace(train_, device);
  if (is_one_of_many() && !sharding_.shares_optimizer()) {
    gradient_sum_.emplace(setup_.model->parameters, ranks_, train_.bucket_bytes);
  }
  sums_ = at::zeros({counted_numbers() + static_cast<int64_t>(terms_.size()) + depths_},
                    at::dtype(at::kDouble).device(device));
  for (const ShardDirectory& data : setup_.data) data.require_counted(ShardDirectory::Split::val);
  can_validate_ = std::ranges::any_of(setup_.data, has_validation_split);
  cursor_ = batches_.cursor();
  if (setup_.resumed_from) restore(setup_.state);
  sharding_.release();
  result_.first_step = step_;
  result_.device = device.str();
  result_.compute_type = compute_type_name(compute_type_);
  for (const TrainedTensor& item : trained_tensors(setup_.model->parameters)) {
    result_.parameters += item.tensor.numel();
  }
}

void Trainer::restore(const nlohmann::json& state) {
  load_trained(setup_.optimizer, setup_.resumed_from->string());
  setup_.optimizer.clear();
  step_ = state.at("step");
  tokens_ = state.at("tokens");
  seconds_ = state.at("seconds");
  interval_ = interval_from_json(state.at("interval"));
  std::vector<double> sums = {interval_.nats, interval_.grad_norm};
  for (const int64_t sum : {interval_.skipped, interval_.lost_targets, interval_.lost_bytes}) {
    if (counts_skips()) sums.push_back(static_cast<double>(sum));
  }
  const std::vector<double> objectives = interval_.objective_sums(terms_, depths_);
  sums.insert(sums.end(), objectives.begin(), objectives.end());
  if (scaler_ && state.contains("loss_scaler")) scaler_->restore(state["loss_scaler"]);
  sums_ = at::tensor(sums, at::kDouble).to(device_);
  result_.skipped_steps = state.value("skipped_steps", int64_t{0});
  skipped_steps_ = result_.skipped_steps - interval_.skipped;
  take_metrics(state, result_);
  saved_step_ = tried_step_ = step_;
  result_.checkpoint = *setup_.resumed_from;
  blow_up_.restore(state);
  guard_.restore(state);
  result_.rollbacks = guard_.rollbacks();
  if (state.contains("best") && state["best"].is_object()) {
    best_step_ = state["best"].at("step").get<int64_t>();
    best_loss_ = state["best"].at("loss").get<double>();
  }
  // A step is saved before it is validated, so the metrics may have a validation that the state
  // does not have.
  const nlohmann::json line =
      nlohmann::json::parse(ranks_.gather(metrics_.last_validation().dump())[0]);
  if (line.is_object() && line.at("step") == step_) {
    result_.val_loss = line.at("val_loss").get<double>();
    result_.val_bpb = line.at("val_bpb").get<double>();
    result_.val_loops = line.at("loops").get<int64_t>();
    validated_step_ = step_;
  }
  mark_best();
}

double Trainer::lap() {
  const double seconds = seconds_since(mark_);
  mark_ = Clock::now();
  return seconds;
}

// The numbers of a step, in the order of sums_.
Tensor Trainer::numbers_of_step(const StepResult& step, const GroupedOptimizer::Update& update,
                                const TargetCount& count) const {
  const Tensor norm = update.norm.to(at::kDouble);
  if (!update.skipped.defined()) {
    return at::cat({at::stack({step.nats, norm}), step.terms, step.depth});
  }
  const Tensor skipped = update.skipped.gt(0);
  const Tensor finite = step.nats.isfinite().logical_and(step.terms.isfinite().all());
  const Tensor lost = skipped.logical_and(finite.logical_not());
  const Tensor one_lost = lost.to(at::kDouble);
  const Tensor numbers = at::stack(
      {step.nats.masked_fill(lost, 0), norm.masked_fill(skipped, 0), skipped.to(at::kDouble),
       one_lost * static_cast<double>(count.targets), one_lost * static_cast<double>(count.bytes)});
  return at::cat({numbers, step.terms.masked_fill(lost, 0), step.depth.masked_fill(lost, 0)});
}

// The sequences of the next step by depth; sets loops_.
std::vector<DepthGroup> Trainer::groups_of_step(const std::vector<Batch>& batches) {
  const auto seed = static_cast<uint64_t>(train_.seed);
  const int64_t sequences = train_.batch_size * train_.grad_accum;
  const LoopDistribution distribution = distribution_of_step(loop_distribution_, train_, step_);
  const std::vector<int64_t> loops = loops_of_sequences(distribution, seed, step_, sequences);
  loops_ = mean_loops(loops);
  const std::vector<int64_t> own_loops = own_sequences(loops, ranks_);
  std::vector<int32_t> state_seeds;
  if (setup_.config.model.initial_state == InitialState::random ||
      setup_.config.objectives.jacobian > 0) {
    state_seeds = own_sequences(state_seeds_of_step(seed, step_, sequences), ranks_);
  }
  return depth_groups(batches, own_loops, state_seeds);
}

Wishes Trainer::own_wishes() const {
  Wishes wishes;
  wishes.save = options_.take_save_request && options_.take_save_request();
  wishes.stop = options_.stop.stop_requested();
  wishes.out_of_time =
      train_.max_hours > 0 && seconds_since(process_start_) >= train_.max_hours * 3600;
  return wishes;
}

void Trainer::train_step() {
  std::vector<Batch> batches;
  for (int64_t i = 0; i < share_.grad_accum; ++i) batches.push_back(batches_.next());
  for (Batch& batch : batches) drop_latent_targets(batch, setup_.config.model.latent_token);
  // Masks may leave a step no target; its loss is 0, and so are its gradients.
  TargetCount count = count_targets(batches, byte_lengths_);
  if (is_one_of_many()) {
    wishes_ = own_wishes();
    agree_on_step(ranks_, count, wishes_);
  }
  const std::vector<DepthGroup> groups = groups_of_step(batches);
  lr_ = guard_.rate_factor() * learning_rate(train_, step_);

  const Parameters& parameters = setup_.model->parameters;
  const Tensor loss_scale = scaler_ ? scaler_->scale() : Tensor();
  const auto before_last = [&] {
    gradient_sum_ ? gradient_sum_->begin_last_pass() : sharding_.begin_last_backward();
  };
  sharding_.begin_step(groups.size());
  StepResult step = forward_backward(
      setup_.config, parameters, groups, std::max<int64_t>(1, count.targets), compute_type_,
      loss_scale, before_last,
      {[&] { sharding_.begin_pass(); }, [&] { sharding_.weights_made(compute_type_); },
       [&] { sharding_.end_pass(); }});
  gradient_sum_ ? gradient_sum_->finish() : sharding_.finish_gradients();
  if (is_one_of_many()) sum_over_ranks(ranks_, step);
  if (options_.after_backward) options_.after_backward(step_, parameters);
  GroupedOptimizer::Skips skips;
  if (guard_.on()) skips = [&](const Tensor& norm) { return asks_to_skip(step, count, norm); };
  between_steps_ = false;
  const GroupedOptimizer::Update update =
      optimizer_.step(guard_.rate_factor() * schedule_factor(train_, step_), loss_scale, skips);
  sharding_.finish_update();
  optimizer_.zero_grad();
  balance_router_bias(setup_.config.model, parameters, step.expert_load, train_.balance_rate,
                      update.skipped);
  sums_ += numbers_of_step(step, update, count);
  if (scaler_) scaler_->update(update.found_inf);

  ++step_;
  tokens_ += count.targets;
  ++session_steps_;
  session_tokens_ += count.targets;
  interval_.steps += 1;
  interval_.targets += count.targets;
  interval_.bytes += count.bytes;
  interval_.loops += loops_;
  interval_.places += train_.tokens_per_step();
  cursor_ = batches_.cursor();
  between_steps_ = true;
  // Reading a number waits for a CUDA device, so on CUDA only steps that need a number check it.
  if (device_.is_cpu()) check_finite();
  if (guard_.exhausted()) end_bad_steps();
}

// Whether the guard lets the step pass, [] fp32; `norm` is that of its gradients. The guard waits
// for the device, as nothing else in a step does.
Tensor Trainer::asks_to_skip(const StepResult& step, const TargetCount& count, const Tensor& norm) {
  const Tensor numbers = at::stack({step.nats, norm.to(at::kDouble)}).cpu();
  const double loss =
      numbers[0].item<double>() / static_cast<double>(std::max<int64_t>(1, count.targets));
  const double size = numbers[1].item<double>();
  // In fp16 gradients overflow now and then: the scale sees to that.
  const bool overflows = scaler_ && !std::isfinite(size);
  return at::full({}, !overflows && guard_.judge(loss, size) ? 1.0 : 0.0, norm.options());
}

// What follows more bad steps in a row than train.skip_steps: a return to the newest healthy
// checkpoint, or the end.
void Trainer::end_bad_steps() {
  const std::string what =
      strprintf("%d steps in a row up to step %d were skipped; in the last, with %g loops, %s",
                guard_.bad_in_row(), step_, loops_, guard_.reason());
  if (guard_.can_roll_back()) {
    roll_back(what);
    return;
  }
  const std::vector<fs::path> healthy = healthy_checkpoints(options_.run);
  fail(ErrorKind::diverged, "training diverged: " + what + ".",
       (healthy.empty() ? "There is no healthy checkpoint"
                        : "The last healthy checkpoint is " + healthy.front().string()) +
           "; try a lower train.lr, a smaller train.clip_norm or train.rollbacks");
}

// Goes on from the weights and the optimizer of the newest healthy checkpoint; steps, data and
// metrics go on as if nothing had happened.
void Trainer::roll_back(const std::string& what) {
  for (const fs::path& path : healthy_checkpoints(options_.run)) {
    try {
      LoadedCheckpoint loaded = load_checkpoint(path, device_, LoadFor::resuming);
      TensorMap weights;
      for (const auto& [name, tensor] : named_tensors(loaded.model->parameters)) {
        weights.emplace(name, tensor);
      }
      sharding_.allocate();
      setup_.model->parameters.load(weights, path.string());
      load_trained(loaded.optimizer, path.string());
      sharding_.release();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      log_warning(error.what());
      continue;
    }
    guard_.roll_back();
    result_.rollbacks = guard_.rollbacks();
    log_warning(
        strprintf("%s. Going on with the weights of %s at %g of the learning rate (return "
                  "%d of %d)",
                  what, path, guard_.rate_factor(), guard_.rollbacks(), train_.rollbacks));
    metrics_.append({{"step", step_},
                     {"rollbacks", guard_.rollbacks()},
                     {"checkpoint", path.filename().string()},
                     {"lr_factor", guard_.rate_factor()}});
    return;
  }
  fail(ErrorKind::diverged, "training diverged: " + what + ".",
       "There is no healthy checkpoint to go back to; save more often with train.save_every, or "
       "try a lower train.lr");
}

// Loads the optimizer's part of a checkpoint whose weights have been loaded, and with low-rank
// updates the weights below them.
void Trainer::load_trained(TensorMap& optimizer, const std::string& origin) {
  restore_updates(setup_.model->parameters, optimizer, origin);
  sharding_.take();
  optimizer_.load(sharding_.own_state(optimizer, optimizer_.state(), origin), origin);
}

// The norm of all ranks' gradients where each has some of them.
GroupedOptimizer::NormOfAll Trainer::norm_of_all() const {
  if (!sharding_.shares_optimizer()) return {};
  return [this](const Tensor& own) { return sharding_.norm(own); };
}

void Trainer::read_sums() {
  const Tensor sums = sums_.cpu();
  interval_.nats = sums[0].item<double>();
  interval_.grad_norm = sums[1].item<double>();
  interval_.put_objectives(terms_, depths_,
                           std::span(sums.data_ptr<double>(), static_cast<size_t>(sums.numel()))
                               .subspan(static_cast<size_t>(counted_numbers())));
  if (!counts_skips()) return;
  const auto whole = [&](int64_t i) { return std::llround(sums[i].item<double>()); };
  interval_.skipped = whole(2);
  interval_.lost_targets = whole(3);
  interval_.lost_bytes = whole(4);
  result_.skipped_steps = skipped_steps_ + interval_.skipped;
}

void Trainer::check_finite() {
  read_sums();
  check_scaler();
  if (std::isfinite(interval_.nats) && std::isfinite(interval_.grad_norm)) return;
  const bool loss = !std::isfinite(interval_.nats);
  const std::string where =
      device_.is_cpu() || interval_.steps == 1
          ? strprintf("at step %d", step_)
          : strprintf("in steps %d to %d", step_ - interval_.steps + 1, step_);
  fail(ErrorKind::diverged,
       strprintf("training diverged: the %s is not finite %s (lr %.2e, %g loops).",
                 loss ? "loss" : "gradient norm", where, lr_, loops_),
       kept_text() +
           "; try a lower train.lr, a longer train.warmup_steps or a smaller train.clip_norm");
}

// Fails if gradients keep overflowing at the least loss scale.
void Trainer::check_scaler() {
  if (!scaler_ || scaler_->read_stuck_steps() < LossScaler::kPatienceSteps) return;
  fail(ErrorKind::diverged,
       strprintf("training diverged: up to step %d the gradients of %d steps in a row are not "
                 "finite in fp16, though the loss scale is %g, its least.",
                 step_, scaler_->read_stuck_steps(), LossScaler::kLeast),
       kept_text() + "; try train.compute_type=bf16 or fp32, or a lower train.lr");
}

std::string Trainer::kept_text() const {
  if (!saved_step_) return "No checkpoint was saved before it";
  std::string text = "The checkpoint " + result_.checkpoint.string() + " is from before it";
  if (best_step_ && best_step_ != saved_step_) {
    text += "; the best one, of step " + std::to_string(*best_step_) + ", is " +
            (options_.run / "best").string();
  }
  return text;
}

// Judges the mean loss of the newest line of metrics.
void Trainer::watch_for_blow_up(double loss) {
  using Verdict = BlowUpWatch::Verdict;
  const Verdict verdict = blow_up_.judge(step_, loss);
  const std::string what =
      strprintf("the loss at step %d, %.4g nats, is far above the lowest, %.4g", step_, loss,
                blow_up_.lowest());
  if (verdict == Verdict::begins) log_warning(what);
  if (verdict != Verdict::lasts || last_step() || train_.on_blow_up == OnBlowUp::warn) return;
  fail(ErrorKind::diverged,
       strprintf("training diverged: %s, and has been for %d steps.", what, blow_up_.steps()),
       kept_text() +
           "; try a lower train.lr or a longer train.warmup_steps, or go on regardless with --set "
           "train.on_blow_up=warn");
}

void Trainer::log() {
  check_finite();
  interval_seconds_ += lap();
  session_seconds_ += interval_seconds_;
  seconds_ += interval_seconds_;
  StepMetrics metrics;
  metrics.step = step_;
  metrics.steps = train_.steps;
  metrics.tokens = tokens_;
  metrics.interval = interval_;
  metrics.loops = loops_;
  metrics.lr = lr_;
  metrics.seconds = seconds_;
  metrics.data_wait = (batches_.waited_seconds() - waited_seconds_) / interval_seconds_;
  waited_seconds_ = batches_.waited_seconds();
  metrics.tokens_per_second =
      static_cast<double>(session_tokens_ - logged_tokens_) / interval_seconds_;
  logged_tokens_ = session_tokens_;
  metrics.seconds_left = session_seconds_ / static_cast<double>(session_steps_) *
                         static_cast<double>(train_.steps - step_);
  if (scaler_) metrics.loss_scale = scaler_->read_scale();
  if (counts_skips()) metrics.skipped_steps = result_.skipped_steps;
  metrics_.append(to_json(metrics));
  progress_.line(progress_line(metrics), /*force=*/true);
  shown_ = metrics;
  result_.loss = interval_.loss();
  result_.bpb = interval_.bits_per_byte();
  result_.tokens_per_second = static_cast<double>(session_tokens_) / session_seconds_;
  const double loss = interval_.loss();
  skipped_steps_ = result_.skipped_steps;
  interval_ = {};
  interval_seconds_ = 0;
  sums_.zero_();
  watch_for_blow_up(loss);
}

// Shows the step on a terminal, between lines of metrics.
void Trainer::show_step() {
  if (!stderr_is_terminal()) return;
  shown_.step = step_;
  progress_.line(shown_.interval.steps > 0 ? progress_line(shown_)
                                           : strprintf("step %d/%d", step_, train_.steps));
}

void Trainer::validate() {
  synchronize(device_);  // the work that is still queued belongs to training
  interval_seconds_ += lap();
  const at::NoGradGuard no_grad;
  LikelihoodOptions options;
  options.loops = std::max<int64_t>(1, std::llround(loop_distribution_.mean));
  options.seq_len = train_.seq_len;
  options.batch_size = train_.batch_size;
  options.max_tokens = train_.val_tokens;
  if (is_one_of_many()) {  // a stop is agreed on behind the next step
    options.part = ranks_.rank();
    options.parts = ranks_.size();
    options.combine = [this](Tensor& sums) { ranks_.start_sum(sums)->wait(); };
  } else {
    options.on_progress = [this](int64_t) { options_.stop.throw_if_stopped(); };
  }
  const Model& model = *setup_.model;
  sharding_.gather();
  const Weights weights = make_weights(model.config, model.parameters, compute_type_);
  const Validation found =
      mythos::validate(model.config, weights, setup_.sources(), byte_lengths_, options);
  sharding_.release();
  nlohmann::ordered_json line = {{"step", step_},
                                 {"val_loss", found.loss},
                                 {"val_bpb", found.bits_per_byte},
                                 {"loops", found.loops}};
  if (setup_.data.size() > 1) {
    for (const Validation::Source& source : found.sources) {
      line["sources"].push_back({{"data", source.directory.string()},
                                 {"val_loss", source.loss},
                                 {"val_bpb", source.bits_per_byte}});
    }
  }
  metrics_.append(line);
  log_info(strprintf("validation at step %d: loss %.4f, %.4f bits per byte at %d loops", step_,
                     found.loss, found.bits_per_byte, found.loops));
  result_.val_loss = found.loss;
  result_.val_bpb = found.bits_per_byte;
  result_.val_loops = found.loops;
  validated_step_ = step_;
  mark_best();
  lap();
}

// Judges whether this step's checkpoint is the best, if it has one and no validation of it is still
// to come.
void Trainer::mark_best() {
  if (validation_due() && validated_step_ != step_) return;
  const std::optional<double> loss = can_validate_ ? result_.val_loss : result_.loss;
  if (saved_step_ != step_ || !loss || !(*loss < best_loss_)) return;
  best_loss_ = *loss;
  best_step_ = step_;
  if (writes()) mark_best_checkpoint(options_.run, step_);
}

// The tensors that this rank writes: all of them where it saves alone.
void Trainer::put_tensors(CheckpointContent& content, bool alone) {
  const Parameters& parameters = setup_.model->parameters;
  content.optimizer = optimizer_.state();
  if (alone || !is_one_of_many()) {
    content.model = named_tensors(parameters);
    const NamedTensors updates = update_state(parameters);
    content.optimizer.insert(content.optimizer.end(), updates.begin(), updates.end());
    return;
  }
  // Low-rank updates are merged, which takes whole weights.
  const bool gathered = sharding_.shares_weights() && !parameters.updates().empty();
  if (gathered) sharding_.gather();
  content.model = sharding_.shares_weights() && !gathered
                      ? sharding_.own_weights(parameters)
                      : sharding_.part_of(named_tensors(parameters));
  NamedTensors updates;
  for (const auto& [name, tensor] : sharding_.part_of(update_state(parameters))) {
    updates.emplace_back(name, tensor.clone());
  }
  if (gathered) sharding_.release();
  if (!sharding_.shares_optimizer()) {
    content.optimizer = sharding_.part_of(content.optimizer);
  } else if (!writes()) {
    std::erase_if(content.optimizer, [](const auto& item) { return item.first == "step"; });
  }
  content.optimizer.insert(content.optimizer.end(), updates.begin(), updates.end());
  content.sliced = sharding_.sliced(content.model);
  content.sliced.merge(sharding_.sliced(content.optimizer));
}

void Trainer::save(bool alone) {
  tried_step_ = step_;
  check_finite();
  interval_seconds_ += lap();
  CheckpointContent content;
  content.config = setup_.config;
  content.tokenizer = setup_.tokenizer.get();
  put_tensors(content, alone);
  content.documents = setup_.document_ends();
  content.state = {{"step", step_},
                   {"tokens", tokens_},
                   {"seconds", seconds_ + interval_seconds_},
                   {"interval", to_json(interval_)},
                   {"best", nullptr},
                   {"cursor", cursor_}};
  blow_up_.save(content.state);
  guard_.save(content.state);
  content.state["healthy"] = !blow_up_.above_limit() && guard_.bad_in_row() == 0;
  if (scaler_) content.state["loss_scaler"] = scaler_->state();
  if (result_.skipped_steps > 0) content.state["skipped_steps"] = result_.skipped_steps;
  if (best_step_) content.state["best"] = {{"step", *best_step_}, {"loss", best_loss_}};
  if (setup_.state.contains("init_from")) content.state["init_from"] = setup_.state["init_from"];
  put_metrics(content.state, result_);
  result_.checkpoint = alone ? save_checkpoint(options_.run, step_, content)
                             : save_checkpoint(options_.run, step_, content, ranks_);
  saved_step_ = step_;
  mark_best();
  if (writes()) prune_checkpoints(options_.run, train_.keep_last, train_.keep_every);
  log_debug("saved " + result_.checkpoint.string());
  lap();
}

// Saves the steps since the last checkpoint when something other than the model goes wrong.
void Trainer::save_before_ending() {
  if (!between_steps_ || step_ == 0 || saved_step_ == step_) return;
  if (tried_step_ == step_ && !is_one_of_many()) return;
  // Others may have ended: what is left to save is what this rank has whole.
  if (is_one_of_many() && (!writes() || sharding_.shares_optimizer())) return;
  try {
    save(/*alone=*/true);
    log_info("saved " + result_.checkpoint.string() +
             " before ending; --resume goes on from there");
  } catch (const std::exception& error) {
    log_warning(strprintf("step %d could not be saved: %s", step_, split(error.what(), '\n')[0]));
  }
}

void Trainer::train_to_the_end() {
  if (validation_due() && validated_step_ != step_) validate();
  while (step_ < train_.steps) {
    train_step();
    if (every(train_.log_every, step_) || last_step())
      log();
    else
      show_step();
    if (!is_one_of_many()) wishes_ = own_wishes();
    const bool asked = wishes_.save;
    const bool out_of_time = wishes_.out_of_time && step_ < train_.steps;
    const bool stops = wishes_.stop || out_of_time;
    if (every(train_.save_every, step_) || last_step() || asked || stops) save();
    if (asked) log_info("saved " + result_.checkpoint.string() + " on SIGUSR1");
    if (wishes_.stop) throw Stopped();
    if (out_of_time) {
      log_info(strprintf("stopped after train.max_hours = %g; --resume goes on", train_.max_hours));
      return;
    }
    if (validation_due()) validate();
  }
}

TrainResult Trainer::run() {
  if (step_ > 0 && step_ >= train_.steps) {
    log_info(strprintf("nothing to do: step %d of %d is done. Give more --steps to go on", step_,
                       train_.steps));
  }
  mark_ = Clock::now();
  try {
    train_to_the_end();
  } catch (const Stopped&) {
    result_.stopped = true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::diverged) save_before_ending();
    throw;
  } catch (...) {
    save_before_ending();
    throw;
  }
  if (saved_step_ != step_) save();
  if (blow_up_.above_limit() && last_step() && train_.on_blow_up == OnBlowUp::stop) {
    fail(
        ErrorKind::diverged,
        strprintf("training diverged: the last loss, %.4g nats, is far above %s.", *result_.loss,
                  blow_up_.lowest() < *result_.loss
                      ? strprintf("the lowest, %.4g", blow_up_.lowest())
                      : "that of the uniform distribution"),
        "It was saved as " + result_.checkpoint.string() +
            (best_step_ ? ", and the best checkpoint is " + (options_.run / "best").string() : "") +
            "; try a lower train.lr or a longer train.warmup_steps");
  }
  result_.step = step_;
  result_.tokens = tokens_;
  result_.seconds = seconds_ + interval_seconds_;
  return result_;
}

void warn_of_little_space(const fs::path& run, const Config& config) {
  std::error_code status;
  const auto free = static_cast<double>(fs::space(run, status).available);
  // The newest checkpoint is written before the oldest is removed.
  const auto needed = static_cast<double>((config.train.keep_last + 1) * checkpoint_bytes(config));
  if (status || free >= needed) return;
  log_warning(strprintf("%s has %s free; the checkpoints kept take about %s", run,
                        human_bytes(free), human_bytes(needed)));
}

// RUN/train.log while a run goes on.
class RunLog {
 public:
  RunLog(const fs::path& path, bool fresh) {
    if (fresh) fs::remove(path);
    log_to_file(path);
  }
  ~RunLog() { end_log_file(); }
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;
};

// What RUN/run.json tells of this process, beside what record_session() adds.
nlohmann::ordered_json session_of(const TrainSetup& setup, at::Device device,
                                  at::ScalarType compute, const Ranks& ranks) {
  nlohmann::ordered_json data = nlohmann::ordered_json::array();
  for (const ShardDirectory& shards : setup.data) data.push_back(shards.path().string());
  return {{"device", device.str()},
          {"compute_type", std::string(compute_type_name(compute))},
          {"threads", at::get_num_threads()},
          {"ranks", ranks.size()},
          {"first_step", setup.state.value("step", int64_t{0})},
          {"data", std::move(data)}};
}

}  // namespace

TrainResult train(const TrainOptions& options) {
  check_output(options.run, OutputKind::contents);
  const at::Device device = resolve_device(options.device);
  const std::unique_ptr<Ranks> alone = single_rank();
  Ranks& ranks = options.ranks ? *options.ranks : *alone;
  const bool writes = ranks.rank() == 0;
  std::optional<RunLock> lock;
  if (writes) lock.emplace(options.run);
  TrainSetup setup = prepare(options, device);
  const TrainConfig& train = setup.config.train;
  const at::ScalarType compute = training_compute_type(train.compute_type, device);
  const std::string description = describe(setup, options, device, compute);
  for (const std::string& line : split(description, '\n')) log_info(line);
  if (ranks.size() > 1) {
    const RankShare share = rank_share(train, ranks.size());
    log_info(strprintf("ranks   %d, layout %s; each has %d micro-batches of %d sequences",
                       ranks.size(), enum_name(train.layout), share.grad_accum, share.batch_size));
  }
  if (setup.resumed_from) log_info("resuming from " + setup.resumed_from->string());
  for (const ShardDirectory& data : setup.data) {
    if (has_validation_split(data)) continue;
    log_warning(data.path().string() + " has no validation split: " +
                (setup.data.size() > 1 ? "it is not validated" : "nothing is validated") +
                "; 'mythos shards split --val-fraction' makes one");
  }
  require_equal_runs(ranks, setup, device, compute);
  if (writes) warn_of_little_space(options.run, setup.config);
  if (options.before_first_step) options.before_first_step();
  const nlohmann::ordered_json session = session_of(setup, device, compute, ranks);
  const std::string configuration = to_toml(setup.config);
  Trainer trainer(options, std::move(setup), device, ranks);
  // Old files are replaced only after all checks of the data and the configuration.
  if (options.overwrite && writes) remove_checkpoints(options.run);
  std::optional<RunLog> log;
  if (writes) {
    record_session(options.run, !options.resume, configuration, session);
    log.emplace(options.run / "train.log", !options.resume);
    for (const std::string& line : split(description, '\n')) log_file_line(line);
  }
  return trainer.run();
}

nlohmann::ordered_json to_json(const TrainResult& result) {
  nlohmann::ordered_json json = {{"schema", "mythos.train/1"},
                                 {"checkpoint", result.checkpoint.string()},
                                 {"device", result.device},
                                 {"compute_type", result.compute_type},
                                 {"parameters", result.parameters},
                                 {"first_step", result.first_step},
                                 {"step", result.step},
                                 {"tokens", result.tokens},
                                 {"skipped_steps", result.skipped_steps},
                                 {"rollbacks", result.rollbacks},
                                 {"seconds", result.seconds},
                                 {"tokens_per_second", result.tokens_per_second}};
  put_metrics(json, result);
  return json;
}

}  // namespace mythos
