// golden_check DIR: compares models with the outputs of the programs that they come from. Reads
// every NAME.json / NAME.safetensors pair in DIR (openmythos/SEMANTICS.md and published/README.md
// beside this file say what they hold) and prints the largest error of each quantity; exit status 1
// when one is beyond its tolerance.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/strings.h"
#include "checkpoint/openmythos.h"
#include "checkpoint/safetensors.h"
#include "config/config.h"
#include "device/device.h"
#include "model/model.h"
#include "published.h"

namespace mythos {
namespace {

constexpr double kAbsolute = 2e-4;  // logits, halting weights, decode logits
constexpr double kLoss = 1e-5;      // relative
constexpr double kGradient = 1e-3;  // of each tensor's largest entry …
// … or of this share of the model's largest, whichever is more: a gradient that is 0 in exact
// arithmetic (a router that chooses one expert) is rounding noise in both models, and errors of
// kGradient·kNoise = 1e-7 of the largest gradient are the last bit of fp32.
constexpr double kNoise = 1e-4;
constexpr char kGolden[] = "golden.";

struct Case {
  std::string name;
  ModelConfig config;
  Parameters parameters;
  TensorMap golden;  // without the prefix, on the CPU
  Tensor input_ids;  // on the model's device
  int64_t prefill = 0;
};

// The model and its inputs on `device`; what is compared with is on the CPU.
Case load_case(const fs::path& json_path, const nlohmann::json& json, at::Device device,
               bool disturb) {
  const fs::path tensors_path = fs::path(json_path).replace_extension(".safetensors");
  const ModelConfig config = model_config_from_openmythos(json["config"], json_path.string());
  Case out{json_path.stem(), config, Parameters(config, device), {}, {}, 0};
  TensorMap reference;
  for (const auto& [name, tensor] : read_safetensors(tensors_path).tensors) {
    if (name.starts_with(kGolden))
      out.golden[name.substr(sizeof kGolden - 1)] = tensor;
    else
      reference[name] = tensor;
  }
  out.parameters.load(from_openmythos(config, reference, tensors_path.string()),
                      tensors_path.string());
  if (disturb) {
    const at::NoGradGuard no_grad;
    Tensor(out.parameters.at("core.0.ffn_norm.weight")).add_(0.01);
  }
  if (!out.golden.contains("input_ids")) {
    fail(ErrorKind::data, tensors_path.string() + ": golden.input_ids is missing");
  }
  out.input_ids = out.golden["input_ids"].to(device);
  out.prefill = json.value("decode_prefill_tokens", out.golden["input_ids"].size(1) - 4);
  return out;
}

void check_loops(const Case& c, const Weights& weights, Report& report) {
  const at::NoGradGuard no_grad;
  const Tensor& ids = c.input_ids;
  for (const auto& [name, want] : c.golden) {
    const bool is_logits = name.starts_with("logits.loops");
    if (!is_logits && !name.starts_with("halt_weights.loops")) continue;
    ForwardOptions options;
    options.loops = parse_int(name.substr(name.find("loops") + 5)).value_or(0);
    const ForwardResult result = forward(c.config, weights, ids, options);
    report.compare(name, is_logits ? logits(weights, result.hidden) : result.halt_weights, want,
                   kAbsolute);
  }
}

void check_decode(const Case& c, const Weights& weights, Report& report) {
  if (!c.golden.contains("decode_logits")) return;
  const at::NoGradGuard no_grad;
  const Tensor& ids = c.input_ids;
  const auto cache =
      make_cache(c.config, c.config.max_loop_iters, ids.size(0), 4, ids.device(), at::kFloat);
  ForwardOptions options;
  options.cache = cache.get();
  std::vector<Tensor> steps;
  for (int64_t at = 0; at < ids.size(1);) {
    const int64_t count = at == 0 ? c.prefill : 1;
    const Tensor hidden = forward(c.config, weights, ids.narrow(1, at, count), options).hidden;
    steps.push_back(logits(weights, hidden.narrow(1, count - 1, 1)));
    at += count;
  }
  report.compare("decode_logits", at::cat(steps, 1), c.golden.at("decode_logits"), kAbsolute);
}

double largest_entry(const Tensor& tensor) {
  return tensor.abs().max().item<double>();
}

void check_gradients(const Case& c, const Weights& weights, Report& report) {
  if (!c.golden.contains("loss")) return;
  const Tensor& ids = c.input_ids;
  const ForwardResult result = forward(c.config, weights, ids);
  const int64_t length = ids.size(1) - 1;
  const Tensor targets = ids.narrow(1, 1, length);
  const Tensor loss = loss_sum(weights, result.hidden.narrow(1, 0, length), targets,
                               1.0 / static_cast<double>(targets.numel()));
  const double want = c.golden.at("loss").item<double>();
  report.add("loss", std::abs(loss.item<double>() - want) / std::abs(want), kLoss);
  loss.backward();
  TensorMap native;
  for (const Parameters::Item& item : c.parameters.items()) {
    const Tensor grad = item.tensor.grad();
    native[item.name] = grad.defined() ? grad : at::zeros_like(item.tensor);
  }
  const TensorMap gradients = to_openmythos(c.config, native);  // on the model's device
  double floor = 0;
  for (const auto& [name, grad] : c.golden) {
    if (name.starts_with("grad.")) floor = std::max(floor, kNoise * largest_entry(grad));
  }
  for (const auto& [name, grad] : c.golden) {
    if (!name.starts_with("grad.")) continue;
    const auto found = gradients.find(name.substr(5));
    if (found == gradients.end()) {
      fail(ErrorKind::data, c.name + ": golden." + name + " names no parameter of the model");
    }
    const double largest = std::max(largest_entry(grad), floor);
    report.compare(name, found->second.cpu() / largest, grad / largest, kGradient);
  }
}

nlohmann::json read_case(const fs::path& path) {
  nlohmann::json json = nlohmann::json::parse(read_file(path), nullptr, false);
  if (json.is_discarded() || !json.contains("config")) {
    fail(ErrorKind::data, path.string() + ": not a JSON object with a \"config\"");
  }
  return json;
}

void check_case(const Case& c, Report& report) {
  const Weights weights = make_weights(c.config, c.parameters, at::kFloat);
  check_loops(c, weights, report);
  check_decode(c, weights, report);
  check_gradients(c, weights, report);
}

int run(const fs::path& directory, const std::string& device_name, bool disturb,
        const Change& change) {
  const at::Device device = resolve_device(device_name);
  std::error_code status;
  std::vector<fs::path> cases;
  if (directory.extension() == ".json") cases.push_back(directory);
  for (const auto& entry : fs::directory_iterator(directory, status)) {
    if (entry.path().extension() == ".json") cases.push_back(entry.path());
  }
  if (cases.empty()) fail(ErrorKind::data, "no NAME.json in " + directory.string());
  std::sort(cases.begin(), cases.end());
  int checks = 0, failures = 0;
  for (const fs::path& path : cases) {
    const nlohmann::json json = read_case(path);
    const std::string family = json.value("family", "");
    Report report((family.empty() ? "" : family + "/") + path.stem().string());
    if (family.empty()) {
      check_case(load_case(path, json, device, disturb), report);
    } else {
      check_published(path, json, device, change, report);
    }
    checks += report.checks();
    failures += report.failures();
  }
  std::printf("golden_check: %zu cases, %d checks, %d beyond tolerance\n", cases.size(), checks,
              failures);
  return failures ? static_cast<int>(ErrorKind::check_failed) : 0;
}

}  // namespace
}  // namespace mythos

int main(int argc, char** argv) {
  std::string directory, device = "cpu";
  bool disturb = false;
  mythos::Change change;
  mythos::Command command;
  command.name = "golden_check";
  command.summary = "Compare models with the outputs of the programs that they come from.";
  command.examples = "golden_check tests/golden/openmythos";
  command.options = [&](CLI::App& app) {
    app.add_option("DIR", directory,
                   "Folder of NAME.json and NAME.safetensors pairs, or one NAME.json")
        ->required();
    app.add_option("--device", device, "cpu (default), auto, cuda or cuda:N");
    app.add_flag("--disturb", disturb, "Change one weight first, to see the check fail");
    app.add_option("--set", change.set, "Change a key of published families' models, KEY=VALUE");
    app.add_option("--swap", change.swap, "Let the halves of a tensor of theirs change places");
  };
  command.run = [&] { return mythos::run(directory, device, disturb, change); };
  return mythos::run_command(argc, argv, command);
}
