#include "train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/output_path.h"
#include "base/strings.h"
#include "data/sample/latent_targets.h"
#include "device/device.h"
#include "device/peaks.h"
#include "dist/single_rank.h"
#include "report/run_record.h"
#include "train/across_ranks.h"
#include "train/balance.h"
#include "train/blow_up.h"
#include "train/books.h"
#include "train/depth_groups.h"
#include "train/divergence.h"
#include "train/expert_parallel.h"
#include "train/gradient_sum.h"
#include "train/kept_checkpoints.h"
#include "train/loss_scaler.h"
#include "train/optimizer.h"
#include "train/run_lock.h"
#include "train/run_start.h"
#include "train/schedule.h"
#include "train/setup.h"
#include "train/sharding.h"
#include "train/step.h"
#include "train/step_guard.h"
#include "train/trained_state.h"
#include "train/trained_tensors.h"
#include "train/validation.h"

namespace mythos {
namespace {

bool every(int64_t interval, int64_t step) {
  return interval > 0 && step % interval == 0;
}

class Trainer {
 public:
  Trainer(const TrainOptions& options, TrainSetup setup, at::Device device, Ranks& ranks);
  TrainResult run();

 private:
  Parameters& own_values();
  void restore(const nlohmann::json& state);
  void train_to_the_end();
  std::vector<DepthGroup> groups_of_step(const std::vector<Batch>& batches);
  void train_step();
  Wishes own_wishes() const;
  void log();
  void validate();
  void save(bool alone = false);
  void save_before_ending();
  void mark_best();

  Tensor asks_to_skip(const StepResult& step, const TargetCount& count, const Tensor& norm);
  void end_bad_steps();
  void roll_back(const std::string& what);
  TrainedState trained() {
    return {setup_.model->parameters, optimizer_, sharding_, experts_, ranks_};
  }
  GroupedOptimizer::NormOfAll norm_of_all() const;
  void check_finite();
  bool last_step() const { return step_ == train_.steps; }
  bool is_one_of_many() const { return ranks_.size() > 1; }
  bool writes() const { return ranks_.rank() == 0; }
  bool validation_due() const {
    return can_validate_ && step_ > 0 && (every(train_.val_every, step_) || last_step());
  }

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
  ExpertParallel experts_;
  Sharding sharding_;
  GroupedOptimizer optimizer_;
  std::optional<GradientSum> gradient_sum_;  // of many ranks
  Wishes wishes_;                            // of all ranks, for the end of the step
  std::optional<LossScaler> scaler_;         // only in fp16
  StepGuard guard_;
  BlowUpWatch blow_up_;
  TrainResult result_;
  Books books_;
  KeptCheckpoints kept_;

  bool can_validate_ = false;
  int64_t step_ = 0;
  nlohmann::json cursor_;             // the sampler's cursor after the last step
  bool between_steps_ = true;         // false while a step changes the weights
  double lr_ = 0;                     // of the last step
  std::vector<int64_t> loops_ = {0};  // of its sequences, on all ranks
  const Clock::time_point process_start_ = Clock::now();
  std::optional<int64_t> validated_step_;  // the step of result_.val_loss
};

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
      batches_(training_sampler(setup_, ranks), 2 * static_cast<size_t>(share_.grad_accum)),
      experts_(setup_.config, setup_.model->parameters, ranks),
      sharding_(setup_.config, setup_.model->parameters, ranks, &experts_, &own_values()),
      optimizer_(setup_.model->parameters, sharding_.own(), train_, norm_of_all()),
      guard_(train_),
      blow_up_(setup_.config.model.vocab_size),
      books_(setup_.config,
             {writes() ? options.run : fs::path(), setup_.state.value("step", int64_t{0}),
              compute_type_ == at::kHalf || guard_.on(), device,
              device_peak(train_, device, compute_type_), ranks.size()},
             result_),
      kept_(options.run) {
  if (compute_type_ == at::kHalf) scaler_.emplace(train_, device);
  if (is_one_of_many() && !sharding_.shares_optimizer()) {
    gradient_sum_.emplace(
        setup_.model->parameters, ranks_, train_.bucket_bytes,
        [this](const TrainedTensor& item) -> Ranks& { return experts_.holding(item); });
  }
  for (const ShardDirectory& data : setup_.data) data.require_counted(ShardDirectory::Split::val);
  can_validate_ = std::ranges::any_of(setup_.data, has_validation_split);
  cursor_ = batches_.cursor();
  if (setup_.resumed_from) restore(setup_.state);
  sharding_.release();
  result_.first_step = step_;
  result_.device = device.str();
  result_.compute_type = compute_type_name(compute_type_);
  for (const TrainedTensor& item : trained_tensors(setup_.model->parameters)) {
    result_.parameters += c10::multiply_integers(experts_.whole_shape(item));
  }
}

// What the weights begin with, of this rank's experts alone.
Parameters& Trainer::own_values() {
  experts_.divide(setup_.values);
  return setup_.values;
}

void Trainer::restore(const nlohmann::json& state) {
  trained().load_optimizer(setup_.optimizer, setup_.resumed_from->string());
  setup_.optimizer.clear();
  step_ = state.at("step");
  books_.restore(state);
  if (scaler_ && state.contains("loss_scaler")) scaler_->restore(state["loss_scaler"]);
  result_.checkpoint = *setup_.resumed_from;
  blow_up_.restore(state);
  guard_.restore(state);
  result_.rollbacks = guard_.rollbacks();
  kept_.restore(state);
  kept_.saved(step_, result_.checkpoint);
  // A step is saved before it is validated, so the metrics may have a validation that the state
  // does not have.
  const nlohmann::json line =
      nlohmann::json::parse(ranks_.gather(books_.newest_validation().dump())[0]);
  if (line.is_object() && line.at("step") == step_) {
    result_.val_loss = line.at("val_loss").get<double>();
    result_.val_bpb = line.at("val_bpb").get<double>();
    result_.val_loops = line.at("loops").get<int64_t>();
    validated_step_ = step_;
  }
  mark_best();
}

// The sequences of the next step by depth; sets loops_.
std::vector<DepthGroup> Trainer::groups_of_step(const std::vector<Batch>& batches) {
  const auto seed = static_cast<uint64_t>(train_.seed);
  const int64_t sequences = train_.batch_size * train_.grad_accum;
  const LoopDistribution distribution = distribution_of_step(loop_distribution_, train_, step_);
  loops_ = loops_of_sequences(distribution, seed, step_, sequences);
  const std::vector<int64_t> own_loops = own_sequences(loops_, ranks_);
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
  StepResult step =
      forward_backward(setup_.config, parameters, groups, std::max<int64_t>(1, count.targets),
                       compute_type_, loss_scale, before_last,
                       {.before = [&] { sharding_.begin_pass(); },
                        .made = [&](const Weights& weights) { sharding_.weights_made(weights); },
                        .after = [&] { sharding_.end_pass(); },
                        .blocks = sharding_.blocks(),
                        .experts = experts_.exchange()});
  gradient_sum_ ? gradient_sum_->finish() : sharding_.finish_gradients();
  if (is_one_of_many()) sum_over_ranks(ranks_, step);
  if (options_.after_backward) options_.after_backward(step_, parameters);
  GroupedOptimizer::Skips skips;
  if (guard_.on()) skips = [&](const Tensor& norm) { return asks_to_skip(step, count, norm); };
  between_steps_ = false;
  const auto factor = [&](const TrainConfig& schedule) {
    return guard_.rate_factor() * schedule_factor(schedule, step_);
  };
  const GroupedOptimizer::Update update = optimizer_.step(factor, loss_scale, skips);
  sharding_.finish_update();
  optimizer_.zero_grad();
  balance_router_bias(setup_.config.model, parameters, step.expert_load, train_.balance_rate,
                      update.skipped);
  books_.add(step, update, count, loops_);
  if (scaler_) scaler_->update(update.found_inf);

  ++step_;
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
                guard_.bad_in_row(), step_, mean_loops(loops_), guard_.reason());
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
      LoadedCheckpoint loaded = load_checkpoint(path, at::kCPU, LoadFor::resuming, {}, &ranks_);
      trained().load(loaded, path.string());
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
    books_.append({{"step", step_},
                   {"rollbacks", guard_.rollbacks()},
                   {"checkpoint", path.filename().string()},
                   {"lr_factor", guard_.rate_factor()}});
    return;
  }
  fail(ErrorKind::diverged, "training diverged: " + what + ".",
       "There is no healthy checkpoint to go back to; save more often with train.save_every, or "
       "try a lower train.lr");
}

// The norm of all ranks' gradients where each has some of them.
GroupedOptimizer::NormOfAll Trainer::norm_of_all() const {
  if (sharding_.shares_optimizer()) {
    return [this](const Tensor& own) { return sharding_.norm(own); };
  }
  if (!experts_.divides()) return {};
  return [this](const Tensor& own) { return experts_.norm(own); };
}

void Trainer::check_finite() {
  const Interval& interval = books_.read();
  if (scaler_) require_working_scale(*scaler_, step_, kept_);
  require_finite(interval,
                 {step_, device_.is_cpu() || interval.steps == 1, lr_, mean_loops(loops_)}, kept_);
}

void Trainer::log() {
  check_finite();
  Books::LineFacts facts = {step_, mean_loops(loops_), lr_, batches_.waited_seconds(), {}};
  if (scaler_) facts.loss_scale = scaler_->read_scale();
  if (experts_.divides()) facts.rank_spread = experts_.take_spread();
  watch_for_blow_up(blow_up_, books_.write_line(facts), step_, train_, kept_);
}

void Trainer::validate() {
  synchronize(device_);  // the work that is still queued belongs to training
  books_.pause();
  const at::NoGradGuard no_grad;
  LikelihoodOptions options;
  options.loops = std::max<int64_t>(1, std::llround(loop_distribution_.mean));
  options.seq_len = train_.seq_len;
  options.batch_size = train_.batch_size;
  options.max_tokens = train_.val_tokens;
  options.packing = train_.packing;
  options.masks_documents = train_.masks_documents();
  if (is_one_of_many()) {  // a stop is agreed on behind the next step
    options.part = ranks_.rank();
    options.parts = ranks_.size();
    options.combine = [this](Tensor& sums) { ranks_.start_sum(sums)->wait(); };
    options.experts = experts_.exchange();
    options.blocks = sharding_.blocks();
  } else {
    options.on_progress = [this](int64_t) { options_.stop.throw_if_stopped(); };
  }
  const Model& model = *setup_.model;
  sharding_.begin_evaluation();
  const Weights weights = make_weights(model.config, model.parameters, compute_type_);
  sharding_.weights_made(weights);
  const Validation found =
      mythos::validate(model.config, weights, setup_.sources(), byte_lengths_, options);
  sharding_.end_evaluation();
  books_.write_validation(step_, found, setup_.data.size() > 1);
  validated_step_ = step_;
  mark_best();
  books_.go_on();
}

// Judges whether this step's checkpoint is the best, if it has one and no validation of it is still
// to come.
void Trainer::mark_best() {
  if (validation_due() && validated_step_ != step_) return;
  const std::optional<double> loss = can_validate_ ? result_.val_loss : result_.loss;
  if (kept_.saved_step() == step_ && loss) kept_.judge(*loss, writes());
}

void Trainer::save(bool alone) {
  kept_.trying(step_);
  check_finite();
  books_.pause();
  CheckpointContent content;
  content.config = setup_.config;
  content.tokenizer = setup_.tokenizer.get();
  trained().put_into(content, alone);
  content.documents = setup_.document_ends();
  content.model_files = setup_.model_files;
  content.state = {{"step", step_}, {"cursor", cursor_}};
  books_.save(content.state);
  kept_.save(content.state);
  blow_up_.save(content.state);
  guard_.save(content.state);
  content.state["healthy"] = !blow_up_.above_limit() && guard_.bad_in_row() == 0;
  if (scaler_) content.state["loss_scaler"] = scaler_->state();
  if (setup_.state.contains("init_from")) content.state["init_from"] = setup_.state["init_from"];
  result_.checkpoint = alone ? save_checkpoint(options_.run, step_, content)
                             : save_checkpoint(options_.run, step_, content, ranks_);
  kept_.saved(step_, result_.checkpoint);
  mark_best();
  if (writes()) prune_checkpoints(options_.run, train_.keep_last, train_.keep_every);
  log_debug("saved " + result_.checkpoint.string());
  books_.go_on();
}

// Saves the steps since the last checkpoint when something other than the model goes wrong.
void Trainer::save_before_ending() {
  if (!between_steps_ || step_ == 0 || kept_.saved_step() == step_) return;
  if (kept_.tried_step() == step_ && !is_one_of_many()) return;
  // Others may have ended: what is left to save is what this rank has whole.
  const bool has_all = !sharding_.shares_optimizer() && !experts_.divides();
  if (is_one_of_many() && (!writes() || !has_all)) return;
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
      books_.show_step(step_);
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
  books_.go_on();
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
  if (kept_.saved_step() != step_) save();
  if (blow_up_.above_limit() && last_step() && train_.on_blow_up == OnBlowUp::stop) {
    fail_blown_up(blow_up_, *result_.loss, kept_);
  }
  result_.step = step_;
  result_.seconds = books_.seconds();
  return result_;
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
  TrainSetup setup = prepare(options, device, ranks);
  require_expert_ranks(setup.config.train, ranks.size());
  const at::ScalarType compute = training_compute_type(setup.config.train.compute_type, device);
  const std::string description = announce(setup, options, device, compute, ranks);
  require_equal_runs(ranks, setup, device, compute);
  if (options.before_first_step) options.before_first_step();
  const nlohmann::ordered_json session = session_of(setup, device, compute, ranks);
  const std::string configuration = to_toml(setup.config);
  Trainer trainer(options, std::move(setup), device, ranks);
  // Old files are replaced only after all checks of the data and the configuration.
  if (options.overwrite && writes) remove_checkpoints(options.run);
  std::optional<RunLog> log;
  if (writes) {
    record_session(options.run, !options.resume, configuration, session);
    log.emplace(options.run / "train.log", !options.resume, description);
  }
  return trainer.run();
}

}  // namespace mythos
