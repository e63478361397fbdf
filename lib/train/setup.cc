#include "train/setup.h"

#include <ATen/Parallel.h>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "config/parameters.h"
#include "train/schedule.h"

namespace mythos {
namespace {

long long ll(int64_t number) {
  return static_cast<long long>(number);
}

bool sets_vocab_size(const std::vector<std::string>& assignments) {
  for (const std::string& assignment : assignments) {
    const std::string key = split(assignment, '=')[0];
    if (trim(key) == "model.vocab_size" || trim(key) == "vocab_size") return true;
  }
  return false;
}

// The model takes the data's vocabulary unless --set names another, which must be large enough.
void fit_vocabulary(Config& config, const ShardDirectory& data, bool fixed) {
  const int64_t needed = data.manifest().vocab_size;
  int64_t& size = config.model.vocab_size;
  if (fixed && size < needed) {
    fail(ErrorKind::usage,
         strprintf("model.vocab_size = %lld is smaller than the vocabulary of %s, %lld tokens.\n"
                   "Leave it out to take the data's",
                   ll(size), data.path().c_str(), ll(needed)));
  }
  if (fixed || size == needed) return;
  log_info(strprintf("model.vocab_size: %lld instead of %lld, the vocabulary of %s", ll(needed),
                     ll(size), data.path().c_str()));
  size = needed;
}

void refuse_model_changes(const ModelConfig& before, const ModelConfig& after,
                          const fs::path& checkpoint) {
  if (before == after) return;
  const nlohmann::json old_values = to_json(before), new_values = to_json(after);
  for (const auto& [key, value] : old_values.items()) {
    if (new_values.at(key) == value) continue;
    fail(ErrorKind::usage,
         strprintf("model.%s cannot change on --resume: %s has %s, asked for was %s.\n"
                   "Leave it out, or train a new model with another --out",
                   key.c_str(), checkpoint.c_str(), value.dump().c_str(),
                   new_values.at(key).dump().c_str()));
  }
}

std::optional<fs::path> checkpoint_to_resume(const TrainOptions& options) {
  std::error_code status;
  if (fs::exists(options.run, status) && !fs::is_directory(options.run, status)) {
    fail(ErrorKind::usage, "--out " + options.run.string() + " is a file; name a directory");
  }
  const auto found = find_checkpoint(options.run);
  if (!found) {
    if (options.resume) {
      log_info(options.run.string() + " has no checkpoint to resume from: starting at step 0");
    }
    return std::nullopt;
  }
  if (fs::equivalent(*found, options.run, status)) {
    fail(ErrorKind::usage,
         "--out " + options.run.string() + " is one checkpoint; name the run that it belongs to");
  }
  if (!options.resume) {
    fail(ErrorKind::usage, options.run.string() + " already has checkpoints, the newest is " +
                               found->filename().string() +
                               ".\nUse --resume to go on, or choose another --out");
  }
  return found;
}

TrainSetup resume(const TrainOptions& options, const fs::path& checkpoint, ShardDirectory data,
                  torch::Device device) {
  LoadedCheckpoint loaded = load_checkpoint(checkpoint, device, /*with_optimizer=*/true);
  if (!loaded.tokenizer || loaded.optimizer.empty() || !loaded.state.contains("cursor")) {
    fail(ErrorKind::data, checkpoint.string() +
                              ": it holds a model to compute with, not a training run (no "
                              "optimizer, data cursor or tokenizer), so it cannot be resumed");
  }
  Config config = loaded.config;
  for (const std::string& assignment : options.assignments) set_value(config, assignment);
  refuse_model_changes(loaded.config.model, config.model, checkpoint);
  config.validate();
  data.require_tokenizer(loaded.tokenizer->fingerprint(), "the checkpoint " + checkpoint.string());
  return {config,
          std::move(data),
          std::move(loaded.tokenizer),
          std::move(loaded.model),
          std::move(loaded.optimizer),
          std::move(loaded.state),
          checkpoint};
}

TrainSetup start(const TrainOptions& options, ShardDirectory data, torch::Device device) {
  if (!options.config) {
    fail(ErrorKind::usage,
         "a new run needs --preset or --config. 'mythos presets list' shows the presets");
  }
  Config config = *options.config;
  for (const std::string& assignment : options.assignments) set_value(config, assignment);
  fit_vocabulary(config, data, sets_vocab_size(options.assignments));
  config.validate();
  auto tokenizer = load_carried_tokenizer(data.path());
  auto model = std::make_unique<Model>(config.model, device);
  model->parameters.initialize(config.model, static_cast<uint64_t>(config.train.seed));
  return {config, std::move(data), std::move(tokenizer), std::move(model),
          {},     nullptr,         std::nullopt};
}

std::string loops_text(const Config& config) {
  const LoopDistribution loops = loop_distribution(config.train, config.model);
  if (loops.min == loops.max) return strprintf("%lld loops", ll(loops.max));
  return strprintf("%s loops, mean %g, %lld to %lld",
                   std::string(enum_name(config.train.loop_sampling)).c_str(), loops.mean,
                   ll(loops.min), ll(loops.max));
}

}  // namespace

TrainSetup prepare(const TrainOptions& options, torch::Device device) {
  const auto checkpoint = checkpoint_to_resume(options);
  ShardDirectory data(options.data);
  return checkpoint ? resume(options, *checkpoint, std::move(data), device)
                    : start(options, std::move(data), device);
}

int64_t trained_parameters(const ModelConfig& config) {
  int64_t sum = 0;
  for (const ParameterSpec& spec : parameter_specs(config)) sum += spec.trained ? spec.numel() : 0;
  return sum;
}

int64_t checkpoint_bytes(const ModelConfig& config) {
  return 12 * trained_parameters(config);
}

std::string describe(const TrainSetup& setup, const TrainOptions& options, torch::Device device,
                     torch::Dtype compute_type) {
  const TrainConfig& train = setup.config.train;
  const auto train_tokens = setup.data.tokens(ShardDirectory::Split::train);
  const int64_t total = train.steps * train.tokens_per_step();
  const std::string threads =
      device.is_cpu() ? strprintf(", %d threads", at::get_num_threads()) : "";
  std::string text = strprintf(
      "model   %s parameters, on %s in %s%s\n",
      human_count(static_cast<double>(trained_parameters(setup.config.model))).c_str(),
      device.str().c_str(), compute_type == torch::kBFloat16 ? "bf16" : "fp32", threads.c_str());
  text += strprintf(
      "data    %s: %s tokens to train on, %s to validate on\n", options.data.c_str(),
      with_commas(static_cast<int64_t>(train_tokens)).c_str(),
      with_commas(static_cast<int64_t>(setup.data.tokens(ShardDirectory::Split::val))).c_str());
  text += strprintf("steps   %s of %s tokens, %s tokens in all, %.2f epochs; %s\n",
                    with_commas(train.steps).c_str(), with_commas(train.tokens_per_step()).c_str(),
                    human_count(static_cast<double>(total)).c_str(),
                    static_cast<double>(total) / static_cast<double>(train_tokens),
                    loops_text(setup.config).c_str());
  text += strprintf("saves   %s: about %s each, ", options.run.c_str(),
                    human_bytes(static_cast<double>(checkpoint_bytes(setup.config.model))).c_str());
  text += train.save_every > 0 ? strprintf("every %lld steps", ll(train.save_every))
                               : std::string("at the end only");
  text += train.keep_last > 0 ? strprintf(", the newest %lld kept", ll(train.keep_last)) : "";
  return text;
}

}  // namespace mythos
