#include "train/trained_tensors.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/glob.h"
#include "base/strings.h"

namespace mythos {
namespace {

// Random numbers of the low-rank updates: beyond the streams of a model's tensors.
constexpr uint64_t kUpdateStream = 1ULL << 40;

constexpr const char *kBase = ".lora_base", *kA = ".lora_a", *kB = ".lora_b";

std::vector<std::string> patterns_of(const std::string& text) {
  std::vector<std::string> patterns;
  for (const std::string& word : split(text, ' ')) {
    if (!trim(word).empty()) patterns.emplace_back(trim(word));
  }
  return patterns;
}

// The names themselves and the patterns of a name's beginning or end: "core.*", "*.wo.weight".
std::vector<std::string> likely_patterns(const std::vector<std::string>& names) {
  std::vector<std::string> patterns = names;
  for (const std::string& name : names) {
    for (size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1)) {
      patterns.push_back(name.substr(0, dot) + ".*");
      patterns.push_back(std::string("*").append(name, dot));
    }
  }
  return patterns;
}

// Which of the names fit one of the patterns that `key` lists.
std::vector<bool> named(const char* key, const std::string& text,
                        const std::vector<std::string>& names, const char* what) {
  std::vector<bool> chosen(names.size(), false);
  for (const std::string& pattern : patterns_of(text)) {
    bool any = false;
    for (size_t i = 0; i < names.size(); ++i) {
      if (!matches_glob(pattern, names[i])) continue;
      chosen[i] = any = true;
    }
    if (any) continue;
    fail(ErrorKind::usage,
         strprintf("%s: \"%s\" names no %s.%s", key, escaped(pattern), what,
                   did_you_mean(pattern, likely_patterns(names))),
         strprintf("Patterns with * and ? are separated by spaces; names are such as %s",
                   names.empty() ? "none" : names[names.size() / 2]));
  }
  return chosen;
}

std::vector<std::string> names_of(const std::vector<Parameters::Item>& items) {
  std::vector<std::string> names;
  for (const Parameters::Item& item : items) names.push_back(item.name);
  return names;
}

// The items that fit the condition.
template <class Condition>
std::vector<Parameters::Item> filtered(const Parameters& parameters, const Condition& condition) {
  std::vector<Parameters::Item> found;
  std::ranges::copy_if(parameters.items(), std::back_inserter(found), condition);
  return found;
}

void freeze(const Parameters& parameters, const TrainConfig& config) {
  const auto items =
      filtered(parameters, [](const Parameters::Item& item) { return is_trained(item.use); });
  const std::vector<bool> frozen =
      named("train.freeze", config.freeze, names_of(items), "trained tensor");
  for (size_t i = 0; i < items.size(); ++i) {
    Tensor tensor = items[i].tensor;
    tensor.requires_grad_(!frozen[i]);
  }
}

LowRankUpdate new_update(const Parameters::Item& item, const TrainConfig& config, uint64_t stream) {
  const int64_t rank = config.tune_rank, rows = item.shape[0], columns = item.shape[1];
  ModelConfig drawn;
  drawn.init_std = 1.0 / std::sqrt(static_cast<double>(columns));
  const Tensor a = at::empty({rank, columns}, at::kFloat);
  const TensorDeclaration declaration = {
      .name = item.name + kA, .shape = {rank, columns}, .low_rank = true};
  set_initial_value(declaration, drawn, static_cast<uint64_t>(config.seed), stream, a);
  const auto options = item.tensor.detach().options();
  return {a.to(options.device()).requires_grad_(),
          at::zeros({rows, rank}, options).requires_grad_(),
          config.tune_alpha / static_cast<double>(rank)};
}

void add_updates(Parameters& parameters, const TrainConfig& config) {
  const auto items = filtered(parameters, [](const Parameters::Item& item) {
    return is_hidden_matrix(item) && item.shape.size() == 2 && item.tensor.requires_grad();
  });
  const std::vector<bool> chosen =
      named("train.tune_matrices", config.tune_matrices, names_of(items),
            "matrix that can have a low-rank update (stacks of experts cannot)");
  for (const Parameters::Item& item : parameters.items()) {
    Tensor tensor = item.tensor;
    tensor.requires_grad_(false);
  }
  for (size_t i = 0; i < items.size(); ++i) {
    if (!chosen[i]) continue;
    parameters.set_update(items[i].name, new_update(items[i], config, kUpdateStream + i));
  }
}

void take(const std::string& name, TensorMap& state, const std::string& origin, Tensor target) {
  const auto found = state.find(name);
  if (found == state.end()) {
    fail(ErrorKind::data, origin + ": the optimizer state lacks the tensor '" + name + "'");
  }
  if (found->second.sizes() != target.sizes()) {
    fail(ErrorKind::data, origin + ": optimizer tensor '" + name + "' has shape " +
                              shape_text(found->second.sizes()) + ", expected " +
                              shape_text(target.sizes()));
  }
  target.copy_(found->second);
  state.erase(found);
}

}  // namespace

void choose_trained(Parameters& parameters, const TrainConfig& config) {
  freeze(parameters, config);
  if (config.tune_rank > 0) add_updates(parameters, config);
  if (!trained_tensors(parameters).empty()) return;
  fail(ErrorKind::usage,
       config.tune_rank > 0
           ? "train.tune_matrices and train.freeze leave no matrix with a low-rank update"
           : "train.freeze = " + escaped(config.freeze) + " leaves nothing to train");
}

std::vector<TrainedTensor> trained_tensors(const Parameters& parameters) {
  std::vector<TrainedTensor> found;
  const auto add = [&](const std::string& name, const Tensor& tensor) {
    TensorDeclaration factor = {.name = name, .shape = tensor.sizes().vec(), .low_rank = true};
    found.push_back({std::move(factor), tensor});
  };
  for (const Parameters::Item& item : parameters.items()) {
    if (item.tensor.requires_grad()) found.push_back(item);
    const auto update = parameters.updates().find(item.name);
    if (update == parameters.updates().end()) continue;
    add(item.name + kA, update->second.a);
    add(item.name + kB, update->second.b);
  }
  return found;
}

std::string tensor_of_state(const std::string& name) {
  return name.substr(name.find('.') + 1);
}

NamedTensors update_state(const Parameters& parameters) {
  NamedTensors state;
  for (const auto& [name, update] : parameters.updates()) {
    state.emplace_back(name + kBase, parameters.at(name).detach());
    state.emplace_back(name + kA, update.a.detach());
    state.emplace_back(name + kB, update.b.detach());
  }
  return state;
}

void restore_updates(Parameters& parameters, TensorMap& state, const std::string& origin) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, update] : parameters.updates()) {
    take(name + kBase, state, origin, parameters.at(name));
    take(name + kA, state, origin, update.a);
    take(name + kB, state, origin, update.b);
  }
}

}  // namespace mythos
