#include "infer/terminal/generation_report.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "device/device.h"

namespace mythos {
namespace {

using nlohmann::json;

constexpr const char* kSchema = "mythos.generate/1";

std::string why_stopped(const Generation& generation, const Decoder& decoder) {
  if (generation.reason == StopReason::stop) return "stop '" + escaped(generation.stop) + "'";
  if (generation.reason == StopReason::context) {
    return strprintf("the context of %s tokens is full", with_commas(decoder.config().max_seq_len));
  }
  return std::string(stop_reason_name(generation.reason));
}

// "8 loops", "2.31 of 8 loops" where tokens stopped early.
std::string loops_text(const Generation& generation) {
  const int64_t most = generation.loops;
  const double mean = generation.mean_loops();
  if (mean == static_cast<double>(most)) return strprintf("%d loops", most);
  return strprintf("%.2f of %d loops", mean, most);
}

std::string speculation_text(const SpeculationCounts& counts) {
  if (counts.verifications == 0) return "";
  return strprintf(", %.0f%% of drafts accepted, %.2f tokens a verification",
                   100 * counts.acceptance_rate(), counts.tokens_per_verification());
}

std::string prompt_text(const Generation& generation) {
  if (generation.computed_prompt_tokens == 0) return "copied";
  return strprintf("%.1f tok/s", generation.prefill_tokens_per_second());
}

std::string latent_text(const Generation& generation) {
  if (generation.latent_steps == 0) return "";
  return strprintf(", %d latent steps", generation.latent_steps);
}

json exit_json(const Generation& generation, const Decoder::Options& options) {
  if (!generation.exits) return nullptr;
  const bool by_head = options.exit == ExitRule::halting;
  return {{"rule", enum_name(options.exit)},
          {"threshold", by_head ? json() : json(options.threshold())}};
}

json cache_json(const Generation& generation, const Decoder& decoder) {
  const CacheOptions& cache = decoder.options().cache;
  const std::string type = cache.type == CacheType::automatic
                               ? compute_type_name(decoder.weights().compute_type)
                               : std::string(enum_name(cache.type));
  json out = {{"type", type},
              {"sharing", enum_name(cache.sharing)},
              {"bytes_per_token", generation.cache_bytes_per_token}};
  if (cache.sharing == CacheSharing::modulo) out["modulo"] = cache.modulo;
  if (cache.sharing == CacheSharing::low_rank) out["basis"] = cache.basis;
  return out;
}

json confidence_json(const Confidence& confidence) {
  if (confidence.tokens == 0) return nullptr;
  const auto tokens = static_cast<double>(confidence.tokens);
  return {{"top_probability", confidence.top / tokens}, {"margin", confidence.margin / tokens}};
}

json speculation_json(const SpeculationCounts& counts, const SpeculationOptions& options) {
  if (options.draft_loops == 0) return nullptr;
  return {{"draft_loops", options.draft_loops},
          {"draft_tokens", options.draft_tokens},
          {"verifications", counts.verifications},
          {"drafted", counts.drafted},
          {"accepted", counts.accepted},
          {"acceptance_rate", counts.acceptance_rate()},
          {"tokens_per_verification", counts.tokens_per_verification()}};
}

}  // namespace

std::string describe(const Generation& generation, const Decoder& decoder) {
  return strprintf(
      "%s tokens in %s (%.1f tok/s), prompt %s tokens (%s)%s, %s%s, cache %s a token, "
      "stopped: %s",
      with_commas(generation.ids.size()), human_duration(generation.decode_seconds),
      generation.decode_tokens_per_second(), with_commas(generation.prompt_tokens),
      prompt_text(generation), latent_text(generation), loops_text(generation),
      speculation_text(generation.speculation),
      human_bytes(static_cast<double>(generation.cache_bytes_per_token)),
      why_stopped(generation, decoder));
}

std::string describe(const EngineCounts& counts, double seconds) {
  const int64_t copied = counts.prompt_tokens - counts.computed_prompt_tokens;
  return strprintf("%s texts, %s prompt tokens%s, %s tokens in %s (%.1f tok/s), %.1f texts a step",
                   with_commas(counts.texts), with_commas(counts.prompt_tokens),
                   copied > 0 ? (" (" + with_commas(copied) + " copied)") : "",
                   with_commas(counts.tokens), human_duration(seconds),
                   static_cast<double>(counts.tokens) / seconds, counts.mean_rows());
}

std::string json_line(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

json error_json(const Error& error) {
  return {{"schema", kSchema},
          {"error",
           {{"message", error.message()},
            {"advice", error.advice().empty() ? json() : json(error.advice())}}}};
}

json to_json(const Generation& generation, const Decoder& decoder, const GenerateOptions& options,
             const std::string& prompt) {
  const SamplingOptions& sampling = options.sampling;
  const bool stopped = generation.reason == StopReason::stop;
  const bool speculative = options.speculation.draft_loops > 0;
  return {{"schema", kSchema},
          {"sample", options.stream},
          {"prompt", prompt},
          {"text", generation.text},
          {"ids", generation.ids},
          {"stop_reason", stop_reason_name(generation.reason)},
          {"stop", stopped ? json(generation.stop) : json()},
          {"loops", generation.loops},
          {"latent_steps", generation.latent_steps},
          {"mean_loops", speculative ? json() : json(generation.mean_loops())},
          {"exit", exit_json(generation, decoder.options())},
          {"confidence", confidence_json(generation.confidence)},
          {"speculation", speculation_json(generation.speculation, options.speculation)},
          {"sampling",
           {{"temperature", sampling.temperature},
            {"top_k", sampling.top_k},
            {"top_p", sampling.top_p},
            {"min_p", sampling.min_p},
            {"seed", sampling.seed}}},
          {"device", decoder.device().str()},
          {"compute_type", compute_type_name(decoder.weights().compute_type)},
          {"weights", enum_name(decoder.options().weights)},
          {"cache", cache_json(generation, decoder)},
          {"timings",
           {{"prompt_tokens", generation.prompt_tokens},
            {"computed_prompt_tokens", generation.computed_prompt_tokens},
            {"prompt_seconds", generation.prefill_seconds},
            {"prompt_tokens_per_second", generation.prefill_tokens_per_second()},
            {"generated_tokens", generation.ids.size()},
            {"generated_seconds", generation.decode_seconds},
            {"generated_tokens_per_second", generation.decode_tokens_per_second()}}}};
}

}  // namespace mythos
