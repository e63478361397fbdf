#include "train/setup.h"

#include <ATen/Parallel.h>

#include <numeric>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "config/parameters.h"
#include "text/load_tokenizer.h"
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
         strprintf("model.vocab_size = %lld is smaller than the vocabulary of %s, %lld tokens.",
                   ll(size), data.path().c_str(), ll(needed)),
         "Leave it out to take the data's");
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
         strprintf("model.%s cannot change on --resume: %s has %s, asked for was %s.", key.c_str(),
                   checkpoint.c_str(), value.dump().c_str(), new_values.at(key).dump().c_str()),
         "Leave it out, or train a new model with another --out");
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
    fail(ErrorKind::usage,
         options.run.string() + " already has checkpoints, the newest is " +
             found->filename().string() + ".",
         "Use --resume to go on, or choose another --out");
  }
  return found;
}

// The data of a run, opened.
struct TrainData {
  std::vector<ShardDirectory> shards;
  std::vector<double> weights;
};

void warn_of_mixed_ends(const ShardDirectory& first, const ShardDirectory& other) {
  const ShardManifest &a = first.manifest(), &b = other.manifest();
  if (a.bos == b.bos && a.eos == b.eos) return;
  const auto text = [](const ShardManifest& manifest) {
    return strprintf("%s BOS, %s EOS", manifest.bos ? "with" : "without",
                     manifest.eos ? "with" : "without");
  };
  log_warning(strprintf("documents begin or end differently: %s %s, %s %s", first.path().c_str(),
                        text(a).c_str(), other.path().c_str(), text(b).c_str()));
}

TrainData open_data(const std::vector<DataEntry>& entries) {
  TrainData data;
  std::vector<DataSource> sources;
  for (const DataEntry& entry : entries) data.shards.emplace_back(entry.directory);
  for (const ShardDirectory& shards : data.shards) sources.push_back({&shards, 1});
  require_one_tokenizer(sources);
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto tokens = static_cast<double>(data.shards[i].tokens(ShardDirectory::Split::train));
    data.weights.push_back(entries[i].weight.value_or(std::max(1.0, tokens)));
    warn_of_mixed_ends(data.shards[0], data.shards[i]);
  }
  return data;
}

TrainSetup resume(const TrainOptions& options, const fs::path& checkpoint, TrainData data,
                  at::Device device) {
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
  data.shards[0].require_tokenizer(loaded.tokenizer->fingerprint(),
                                   "the checkpoint " + checkpoint.string());
  return {config,
          std::move(data.shards),
          std::move(data.weights),
          std::move(loaded.tokenizer),
          std::move(loaded.model),
          std::move(loaded.optimizer),
          std::move(loaded.state),
          checkpoint};
}

TrainSetup start(const TrainOptions& options, TrainData data, at::Device device) {
  if (!options.config) {
    fail(ErrorKind::usage,
         "a new run needs --preset or --config. 'mythos presets list' shows the presets");
  }
  Config config = *options.config;
  for (const std::string& assignment : options.assignments) set_value(config, assignment);
  fit_vocabulary(config, data.shards[0], sets_vocab_size(options.assignments));
  config.validate();
  auto tokenizer = load_carried_tokenizer(data.shards[0].path());
  auto model = std::make_unique<Model>(config.model, device);
  model->parameters.initialize(config.model, static_cast<uint64_t>(config.train.seed));
  return {config,
          std::move(data.shards),
          std::move(data.weights),
          std::move(tokenizer),
          std::move(model),
          {},
          nullptr,
          std::nullopt};
}

std::string loops_text(const Config& config) {
  const LoopDistribution loops = loop_distribution(config.train, config.model);
  if (loops.min == loops.max) return strprintf("%lld loops", ll(loops.max));
  return strprintf("%s loops, mean %g, %lld to %lld",
                   std::string(enum_name(config.train.loop_sampling)).c_str(), loops.mean,
                   ll(loops.min), ll(loops.max));
}

// One line for one source; for several one each, with the passes that the run makes over it.
std::string data_text(const TrainSetup& setup, int64_t total_tokens) {
  using Split = ShardDirectory::Split;
  const double sum = std::accumulate(setup.weights.begin(), setup.weights.end(), 0.0);
  std::string text;
  for (size_t i = 0; i < setup.data.size(); ++i) {
    const ShardDirectory& data = setup.data[i];
    const auto tokens = static_cast<int64_t>(data.tokens(Split::train));
    text +=
        strprintf("%s %s: %s tokens to train on, %s to validate on", i == 0 ? "data   " : "       ",
                  shown(data.path().string()).c_str(), with_commas(tokens).c_str(),
                  with_commas(static_cast<int64_t>(data.tokens(Split::val))).c_str());
    if (setup.data.size() > 1) {
      const double share = setup.weights[i] / sum;
      text += strprintf("; %.1f%% of the sequences, %.2f epochs", 100 * share,
                        share * static_cast<double>(total_tokens) / static_cast<double>(tokens));
    }
    text += "\n";
  }
  const TrainConfig& train = setup.config.train;
  if (train.packing == Packing::contiguous && !train.masks_documents()) return text;
  text += strprintf("packing %s, attention %s\n", std::string(enum_name(train.packing)).c_str(),
                    train.masks_documents() ? "within documents" : "across documents");
  return text;
}

}  // namespace

std::vector<DataSource> TrainSetup::sources() const {
  std::vector<DataSource> sources;
  for (size_t i = 0; i < data.size(); ++i) sources.push_back({&data[i], weights[i]});
  return sources;
}

TrainSetup prepare(const TrainOptions& options, at::Device device) {
  const auto checkpoint = checkpoint_to_resume(options);
  TrainData data = open_data(options.data);
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

std::string describe(const TrainSetup& setup, const TrainOptions& options, at::Device device,
                     at::ScalarType compute_type) {
  const TrainConfig& train = setup.config.train;
  const int64_t total = train.steps * train.tokens_per_step();
  const std::string threads =
      device.is_cpu() ? strprintf(", %d threads", at::get_num_threads()) : "";
  std::string text = strprintf(
      "model   %s parameters, on %s in %s%s\n",
      human_count(static_cast<double>(trained_parameters(setup.config.model))).c_str(),
      device.str().c_str(), compute_type == at::kBFloat16 ? "bf16" : "fp32", threads.c_str());
  text += data_text(setup, total);
  text += strprintf("steps   %s of %s tokens, %s tokens in all", with_commas(train.steps).c_str(),
                    with_commas(train.tokens_per_step()).c_str(),
                    human_count(static_cast<double>(total)).c_str());
  if (setup.data.size() == 1) {
    const auto tokens = setup.data[0].tokens(ShardDirectory::Split::train);
    text += strprintf(", %.2f epochs", static_cast<double>(total) / static_cast<double>(tokens));
  }
  text += "; " + loops_text(setup.config) + "\n";
  text += strprintf("saves   %s: about %s each, ", shown(options.run.string()).c_str(),
                    human_bytes(static_cast<double>(checkpoint_bytes(setup.config.model))).c_str());
  text += train.save_every > 0 ? strprintf("every %lld steps", ll(train.save_every))
                               : std::string("at the end only");
  text += train.keep_last > 0 ? strprintf(", the newest %lld kept", ll(train.keep_last)) : "";
  return text;
}

}  // namespace mythos
