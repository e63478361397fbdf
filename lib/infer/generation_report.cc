#include "infer/generation_report.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace mythos {

std::string describe(const Generation& generation, const Session& session) {
  std::string stopped(stop_reason_name(generation.reason));
  if (generation.reason == StopReason::stop) stopped += " '" + escaped(generation.stop) + "'";
  if (generation.reason == StopReason::context) {
    stopped = strprintf("the context of %s tokens is full",
                        with_commas(session.context_tokens()).c_str());
  }
  return strprintf(
      "%s tokens in %s (%.1f tok/s), prompt %s tokens (%.1f tok/s), %lld loops, stopped: %s",
      with_commas(static_cast<int64_t>(generation.ids.size())).c_str(),
      human_duration(generation.decode_seconds).c_str(), generation.decode_tokens_per_second(),
      with_commas(generation.prompt_tokens).c_str(), generation.prefill_tokens_per_second(),
      static_cast<long long>(session.loops()), stopped.c_str());
}

nlohmann::json to_json(const Generation& generation, const Session& session,
                       const GenerateOptions& options, const std::string& prompt) {
  const SamplingOptions& sampling = options.sampling;
  const bool stopped = generation.reason == StopReason::stop;
  return {{"schema", "mythos.generate/1"},
          {"sample", options.stream},
          {"prompt", prompt},
          {"text", generation.text},
          {"ids", generation.ids},
          {"stop_reason", stop_reason_name(generation.reason)},
          {"stop", stopped ? nlohmann::json(generation.stop) : nlohmann::json()},
          {"loops", session.loops()},
          {"sampling",
           {{"temperature", sampling.temperature},
            {"top_k", sampling.top_k},
            {"top_p", sampling.top_p},
            {"min_p", sampling.min_p},
            {"seed", sampling.seed}}},
          {"device", session.device().str()},
          {"compute_type", session.compute_type() == torch::kBFloat16 ? "bf16" : "fp32"},
          {"timings",
           {{"prompt_tokens", generation.prompt_tokens},
            {"prompt_seconds", generation.prefill_seconds},
            {"prompt_tokens_per_second", generation.prefill_tokens_per_second()},
            {"generated_tokens", generation.ids.size()},
            {"generated_seconds", generation.decode_seconds},
            {"generated_tokens_per_second", generation.decode_tokens_per_second()}}}};
}

}  // namespace mythos
