#include "train/setup.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <numeric>

#include "arch/plan.h"
#include "arch/tensors.h"
#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "config/param_groups.h"
#include "device/device.h"
#include "text/load_tokenizer.h"
#include "train/across_ranks.h"
#include "train/config_changes.h"
#include "train/length.h"
#include "train/schedule.h"
#include "train/trained_tensors.h"

namespace mythos {
namespace {

bool sets_vocab_size(const std::vector<std::string>& assignments) {
  for (const std::string& assignment : assignments) {
    const std::string key = split(assignment, '=')[0];
    if (trim(key) == "model.vocab_size" || trim(key) == "vocab_size") return true;
  }
  return false;
}

[[noreturn]] void fail_no_config() {
  fail(ErrorKind::usage,
       "a new run needs --preset, --config or --init-from. 'mythos presets list' shows the "
       "presets");
}

// Gives the model the data's vocabulary, unless --set names another size, which must be large
// enough.
void fit_vocabulary(Config& config, const ShardDirectory& data, bool fixed) {
  const int64_t needed = data.manifest().vocab_size;
  int64_t& size = config.model.vocab_size;
  if (fixed && size < needed) {
    fail(ErrorKind::usage,
         strprintf("model.vocab_size = %d is smaller than the vocabulary of %s, %d tokens.", size,
                   data.path(), needed),
         "Leave it out to take the data's");
  }
  if (fixed || size == needed) return;
  log_info(strprintf("model.vocab_size: %d instead of %d, the vocabulary of %s", needed, size,
                     data.path()));
  size = needed;
}

// Whether the run has checkpoints, whole or not. Fails (usage) if the directory cannot be a run, or
// if it has checkpoints and no option says what to do with them.
bool has_checkpoints(const TrainOptions& options) {
  const std::string run = options.run.string();
  const std::vector<fs::path> found = checkpoint_directories(options.run);
  std::error_code status;
  if (found.size() == 1 && fs::equivalent(found[0], options.run, status)) {
    fail(ErrorKind::usage, "--out " + run + " is one checkpoint; name the run that it belongs to");
  }
  if (found.empty() && options.resume) {
    log_info(run + " has no checkpoint to resume from: starting at step 0");
  }
  if (!found.empty() && !options.resume && !options.overwrite) {
    fail(ErrorKind::usage,
         run + " already has checkpoints, the newest is " + found.back().filename().string() + ".",
         "Use --resume to go on, --overwrite to remove them and begin anew, or another --out");
  }
  return !found.empty();
}

// The opened data of a run.
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
  log_warning(strprintf("documents begin or end differently: %s %s, %s %s", first.path(), text(a),
                        other.path(), text(b)));
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

// Completes the configuration of a run with what depends on its data, and checks it. Without data
// a length in epochs stays open.
void complete(Config& config, const TrainOptions& options, const TrainData& data) {
  double tokens = data.shards.empty() ? kUnknownTokens : 0;
  for (const ShardDirectory& shards : data.shards) {
    tokens += static_cast<double>(shards.tokens(ShardDirectory::Split::train));
  }
  settle_length(config, options.assignments, tokens);
  config.validate();
  if (config.train.tune_rank > 0) return;  // factors of matrices have names of their own
  std::vector<std::string> names;
  for (const TensorDeclaration& tensor : declared_trained(config.model)) {
    names.push_back(tensor.name);
  }
  require_matches(parse_param_groups(config.train.param_groups), names);
}

LoadedCheckpoint load_to_resume(const TrainOptions& options, Ranks& ranks) {
  try {
    return load_checkpoint(options.run, at::kCPU, LoadFor::resuming, {}, &ranks);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    fail(error.kind(), error.message(),
         error.advice() + ". Nothing was changed; --overwrite instead of --resume begins anew");
  }
}

// The configuration of a run that begins with a checkpoint: the checkpoint's own, or one that is
// given beside it, with the checkpoint's vocabulary unless --set names another size.
Config config_beside(const TrainOptions& options, const LoadedCheckpoint& loaded) {
  Config config = options.config.value_or(loaded.config);
  config.model.vocab_size = loaded.config.model.vocab_size;
  for (const std::string& assignment : options.assignments) set_value(config, assignment);
  return config;
}

Config config_to_resume(const TrainOptions& options, const TrainData& data,
                        const LoadedCheckpoint& loaded) {
  Config config = config_beside(options, loaded);
  const std::vector<ConfigChange> fixed = fixed_changes(loaded.config, config);
  if (!fixed.empty()) {
    fail(ErrorKind::usage,
         "cannot change on --resume: " + describe(fixed) + " (" + loaded.path.string() + ").",
         "Leave out what is changed, or train a new model with another --out");
  }
  complete(config, options, data);
  for (const ConfigChange& change : config_changes(loaded.config, config)) {
    log_info("changed: " + describe({change}));
  }
  const std::string jump =
      learning_rate_jump(loaded.config.train, config.train, loaded.state.at("step"));
  if (!jump.empty()) log_warning(jump);
  return config;
}

TrainSetup resume(const TrainOptions& options, TrainData data, Ranks& ranks) {
  LoadedCheckpoint loaded = load_to_resume(options, ranks);
  if (!loaded.tokenizer || loaded.optimizer.empty() || !loaded.state.contains("cursor")) {
    fail(ErrorKind::data,
         loaded.path.string() +
             ": it holds a model to compute with, not a training run (no "
             "optimizer, data cursor or tokenizer), so it cannot be resumed.",
         "Begin a new run with its weights: --init-from " + loaded.path.string());
  }
  if (!options.init_from.empty()) {
    log_info("--init-from counted when the run began; it goes on from its own checkpoint");
  }
  data.shards[0].require_tokenizer(loaded.tokenizer->fingerprint(),
                                   "the checkpoint " + loaded.path.string());
  const Config config = config_to_resume(options, data, loaded);
  return {config,
          std::move(data.shards),
          std::move(data.weights),
          std::move(loaded.tokenizer),
          std::move(loaded.model->parameters),
          nullptr,
          std::move(loaded.optimizer),
          std::move(loaded.state),
          loaded.path,
          std::move(loaded.model_files)};
}

// Whether every token of the data stands for the same text in the checkpoint's vocabulary.
bool is_compatible(const Tokenizer& data, const Tokenizer& checkpoint) {
  if (data.vocab_size() > checkpoint.vocab_size()) return false;
  for (int64_t id = 0; id < data.vocab_size(); ++id) {
    const auto token = static_cast<uint32_t>(id);
    if (data.token_bytes(token) != checkpoint.token_bytes(token)) return false;
  }
  return true;
}

// Fails unless the checkpoint to begin with can be trained on data of this tokenizer.
void require_vocabulary(const LoadedCheckpoint& loaded, const ShardDirectory& data,
                        const Tokenizer& tokenizer) {
  if (loaded.tokenizer) {
    if (loaded.tokenizer->fingerprint() == tokenizer.fingerprint() ||
        is_compatible(tokenizer, *loaded.tokenizer)) {
      return;
    }
    data.require_tokenizer(loaded.tokenizer->fingerprint(),
                           "the checkpoint " + loaded.path.string());
  }
  if (tokenizer.vocab_size() > loaded.config.model.vocab_size) {
    fail(ErrorKind::data,
         strprintf("%s has %d tokens, %s only %d.", data.path(), tokenizer.vocab_size(),
                   loaded.path, loaded.config.model.vocab_size),
         "Make the data with the tokenizer of the model: mythos tokenize --tokenizer TOK");
  }
  log_warning(loaded.path.string() +
              " carries no tokenizer: whether the data's is the one that it was trained with is "
              "not known");
}

bool have_equal_parameters(const ModelConfig& a, const ModelConfig& b) {
  const auto shapes = [](const ModelConfig& config) {
    std::vector<std::pair<std::string, std::vector<int64_t>>> found;
    for (const TensorDeclaration& tensor : declared_tensors(config)) {
      found.emplace_back(tensor.name, tensor.shape);
    }
    return found;
  };
  return shapes(a) == shapes(b);
}

// Sets up a new run with the weights of a checkpoint, and with its own schedule, optimizer and
// order of data.
TrainSetup start_from(const TrainOptions& options, TrainData data) {
  LoadedCheckpoint loaded = load_checkpoint(options.init_from, at::kCPU, LoadFor::training);
  auto tokenizer = load_carried_tokenizer(data.shards[0].path());
  require_vocabulary(loaded, data.shards[0], *tokenizer);
  Config config = config_beside(options, loaded);
  complete(config, options, data);
  Config kept = config;
  kept.model = loaded.config.model;
  const std::vector<ConfigChange> changes = config_changes(kept, config);
  if (!have_equal_parameters(kept.model, config.model)) {
    fail(ErrorKind::usage,
         "the weights of " + loaded.path.string() + " do not fit the model: " + describe(changes) +
             ".",
         "Leave out what is changed: without --preset and --config the checkpoint's is taken");
  }
  for (const ConfigChange& change : changes) log_info("changed: " + describe({change}));
  nlohmann::json state = {
      {"init_from",
       {{"checkpoint", loaded.path.string()}, {"step", loaded.state.value("step", int64_t{0})}}}};
  return {config,
          std::move(data.shards),
          std::move(data.weights),
          std::move(tokenizer),
          std::move(loaded.model->parameters),
          nullptr,
          {},
          std::move(state),
          std::nullopt,
          std::move(loaded.model_files)};
}

TrainSetup start(const TrainOptions& options, TrainData data) {
  if (!options.config) fail_no_config();
  Config config = *options.config;
  for (const std::string& assignment : options.assignments) set_value(config, assignment);
  fit_vocabulary(config, data.shards[0], sets_vocab_size(options.assignments));
  complete(config, options, data);
  auto tokenizer = load_carried_tokenizer(data.shards[0].path());
  StoredTensors values = initial_values(config.model, static_cast<uint64_t>(config.train.seed));
  return {config,
          std::move(data.shards),
          std::move(data.weights),
          std::move(tokenizer),
          Parameters(config.model, at::kCPU, std::move(values), "a new model"),
          nullptr,
          {},
          nlohmann::json::object(),
          std::nullopt,
          {}};
}

std::string loops_text(const Config& config) {
  const LoopDistribution loops = loop_distribution(config.train, config.model);
  std::string text = strprintf("%d loops", loops.max);
  if (loops.min != loops.max) {
    text = strprintf("%s loops, mean %g, %d to %d", enum_name(config.train.loop_sampling),
                     loops.mean, loops.min, loops.max);
    if (loops.per == LoopsPer::sequence) text += " per sequence";
  }
  const int64_t last = backprop_loops(config);
  if (last > 0) text += strprintf(", gradients of the last %d", last);
  return text;
}

// How many numbers are trained, where those are not the model's.
std::string trained_text(const TrainSetup& setup) {
  const TrainConfig& train = setup.config.train;
  if (train.freeze.empty() && train.tune_rank == 0) return {};
  int64_t count = 0;
  for (const TrainedTensor& item : trained_tensors(setup.model->parameters)) {
    count += item.tensor.numel();
  }
  return strprintf(", %s trained%s", human_count(static_cast<double>(count)),
                   train.tune_rank > 0 ? " in low-rank updates" : "");
}

// A line for each source of data; if there are several, each with the number of passes that the run
// makes over it.
std::string data_text(const TrainSetup& setup, int64_t total_tokens) {
  using Split = ShardDirectory::Split;
  const double sum = std::accumulate(setup.weights.begin(), setup.weights.end(), 0.0);
  std::string text;
  for (size_t i = 0; i < setup.data.size(); ++i) {
    const ShardDirectory& data = setup.data[i];
    const auto tokens = static_cast<int64_t>(data.tokens(Split::train));
    text += strprintf("%s %s: %s tokens to train on, %s to validate on",
                      i == 0 ? "data   " : "       ", shown(data.path().string()),
                      with_commas(tokens), with_commas(data.tokens(Split::val)));
    if (setup.data.size() > 1) {
      const double share = setup.weights[i] / sum;
      text += strprintf("; %.1f%% of the sequences, %.2f epochs", 100 * share,
                        share * static_cast<double>(total_tokens) / static_cast<double>(tokens));
    }
    text += "\n";
  }
  const TrainConfig& train = setup.config.train;
  if (train.packing == Packing::contiguous && !train.masks_documents()) return text;
  text += strprintf("packing %s, attention %s\n", enum_name(train.packing),
                    train.masks_documents() ? "within documents" : "across documents");
  return text;
}

}  // namespace

std::vector<DataSource> TrainSetup::sources() const {
  std::vector<DataSource> sources;
  for (size_t i = 0; i < data.size(); ++i) sources.push_back({&data[i], weights[i]});
  return sources;
}

DocumentEnds TrainSetup::document_ends() const {
  DocumentEnds ends = data[0].manifest().document_ends();
  for (const ShardDirectory& shards : data) ends = both(ends, shards.manifest().document_ends());
  return ends;
}

TrainSetup prepare(const TrainOptions& options, at::Device device, Ranks& ranks) {
  const bool goes_on = has_checkpoints(options) && options.resume;
  TrainData data = open_data(options.data);
  require_equal_starts(ranks, options.run, goes_on);
  TrainSetup setup = goes_on                     ? resume(options, std::move(data), ranks)
                     : options.init_from.empty() ? start(options, std::move(data))
                                                 : start_from(options, std::move(data));
  const ModelConfig& model = setup.config.model;
  setup.model = std::make_unique<Model>(model, Parameters(model, device, ParameterMemory::later));
  choose_trained(setup.model->parameters, setup.config.train);
  return setup;
}

std::vector<ConfigStage> effective_config(const TrainOptions& options, const std::string& source) {
  const bool goes_on = options.resume && !checkpoint_directories(options.run).empty();
  const fs::path& first = goes_on ? options.run : options.init_from;
  std::vector<ConfigStage> stages;
  std::optional<LoadedCheckpoint> loaded;
  if (!first.empty()) {
    loaded = load_checkpoint(first, at::kCPU, LoadFor::training);
    stages.push_back({loaded->path.string(), loaded->config});
  }
  if (options.config) stages.push_back({source, *options.config});
  if (stages.empty()) fail_no_config();
  TrainData data;
  if (!options.data.empty()) data = open_data(options.data);
  Config config = stages.back().config;
  if (goes_on) {
    config = config_to_resume(options, data, *loaded);
  } else if (loaded) {
    config = config_beside(options, *loaded);
  } else {
    for (const std::string& assignment : options.assignments) set_value(config, assignment);
  }
  stages.push_back({"command line", config});
  if (!loaded && !data.shards.empty()) {
    fit_vocabulary(config, data.shards[0], sets_vocab_size(options.assignments));
    stages.push_back({"data", config});
  }
  complete(config, options, data);
  stages.push_back({"train.length", config});
  return stages;
}

int64_t trained_parameters(const ModelConfig& config) {
  int64_t sum = 0;
  for (const TensorDeclaration& tensor : declared_trained(config)) sum += tensor.numel();
  return sum;
}

int64_t checkpoint_bytes(const Config& config) {
  return 4 * trained_parameters(config.model) + optimizer_bytes(config.model, config.train);
}

std::string describe(const TrainSetup& setup, const TrainOptions& options, at::Device device,
                     at::ScalarType compute_type) {
  const TrainConfig& train = setup.config.train;
  const int64_t total = train.steps * train.tokens_per_step();
  const std::string threads =
      device.is_cpu() ? strprintf(", %d threads", at::get_num_threads()) : "";
  std::string text =
      strprintf("model   %s parameters%s, on %s in %s%s\n",
                human_count(static_cast<double>(trained_parameters(setup.config.model))),
                trained_text(setup), device.str(), compute_type_name(compute_type), threads);
  if (setup.state.contains("init_from")) {
    const nlohmann::json& from = setup.state["init_from"];
    text += strprintf("from    %s, step %d\n", from.at("checkpoint").get<std::string>(),
                      from.at("step").get<int64_t>());
  }
  text += data_text(setup, total);
  text += strprintf("steps   %s%s of %s tokens, %s tokens in all", with_commas(train.steps),
                    train.length.empty() ? "" : " (" + train.length + ")",
                    with_commas(train.tokens_per_step()), human_count(static_cast<double>(total)));
  if (setup.data.size() == 1) {
    const auto tokens = setup.data[0].tokens(ShardDirectory::Split::train);
    text += strprintf(", %.2f epochs", static_cast<double>(total) / static_cast<double>(tokens));
  }
  text += "; " + loops_text(setup.config) + "\n";
  text += strprintf("saves   %s: about %s each, ", shown(options.run.string()),
                    human_bytes(static_cast<double>(checkpoint_bytes(setup.config))));
  text += train.save_every > 0 ? strprintf("every %d steps", train.save_every)
                               : std::string("at the end only");
  text += train.keep_last > 0 ? strprintf(", the newest %d kept", train.keep_last) : "";
  if (train.keep_last > 0 && train.keep_every > 0) {
    text += strprintf(", and those of every %d steps", train.keep_every);
  }
  return text;
}

}  // namespace mythos
