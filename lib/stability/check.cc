#include "stability/check.h"

#include <c10/core/InferenceMode.h>

#include "arch/plan.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/strings.h"
#include "stability/probe.h"

namespace mythos {
namespace {

// `fingerprint`: of the tokenizer that the shards must be made with; "" for any.
void run_model(const Model& model, const std::string& fingerprint, at::Device device,
               const StabilityOptions& options, StabilityReport& report) {
  const ModelConfig& config = model.config;
  std::vector<Tensor> batches;
  if (options.data.empty()) {
    report.probe = "random ids";
    batches = random_probe(config, options.max_tokens, options.seed, device);
  } else {
    const ShardDirectory data(options.data);
    if (!fingerprint.empty()) data.require_tokenizer(fingerprint, report.subject);
    report.probe = options.data;
    batches = data_probe(config, data, options.max_tokens, device);
  }
  const c10::InferenceMode guard;
  const Weights weights = make_weights(config, model.parameters, at::kFloat);
  report.spectral = spectral_report(config, weights);
  const int64_t loops = options.loops ? options.loops : 2 * config.max_loop_iters;
  report.dynamics = measure_dynamics(config, weights, batches, loops);
}

void pass_judgement(StabilityReport& report) {
  report.verdict = judge(report.spectral, &report.dynamics, report.thresholds,
                         report.weights.value_or(NonFinite()));
}

}  // namespace

StabilityReport check_checkpoint(const LoadedCheckpoint& loaded, at::Device device,
                                 const StabilityOptions& options) {
  StabilityReport report;
  report.subject = loaded.path.string();
  report.config = loaded.config.model;
  report.weights = loaded.nonfinite;
  report.thresholds = options.thresholds;
  run_model(*loaded.model, loaded.tokenizer ? loaded.tokenizer->fingerprint() : "", device, options,
            report);
  pass_judgement(report);
  return report;
}

StabilityReport check_preset(const std::string& name, const Config& config, at::Device device,
                             const StabilityOptions& options) {
  StabilityReport report;
  report.subject = "preset " + name + ", freshly initialised";
  report.config = config.model;
  report.thresholds = options.thresholds;
  const Plan plan = make_plan(config.model, config.model.max_loop_iters, 1);
  const double needed_bytes = static_cast<double>(plan.parameters) * sizeof(float);
  // A quarter is left for activations and the logits.
  if (device.is_cuda() || needed_bytes <= 0.75 * available_memory_bytes()) {
    try {
      Model model(config.model, device);
      model.parameters.initialize(config.model, options.seed);
      report.weights = find_nonfinite(named_tensors(model.parameters));
      run_model(model, "", device, options, report);
      pass_judgement(report);
      return report;
    } catch (const c10::OutOfMemoryError&) {
    }
  }
  log_warning(
      strprintf("%s needs %s for its weights, more than is free on %s: "
                "checking the static part only",
                name, human_bytes(needed_bytes), device.str()));
  report.spectral = spectral_report(config.model, initial_injection_weights(config.model));
  pass_judgement(report);
  return report;
}

}  // namespace mythos
