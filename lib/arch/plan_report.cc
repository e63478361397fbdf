#include "arch/plan_report.h"

#include <nlohmann/json.hpp>

#include "arch/muon_update.h"
#include "base/error.h"
#include "base/strings.h"
#include "base/whole.h"

namespace mythos {
namespace {

using nlohmann::json;

std::vector<int64_t> default_contexts(int64_t longest) {
  std::vector<int64_t> contexts;
  for (const int64_t part : {64, 16, 4, 1}) {
    const int64_t context = longest / part;
    if (context > 0 && (contexts.empty() || contexts.back() != context))
      contexts.push_back(context);
  }
  return contexts;
}

void require_within(const char* option, int64_t length, const ModelConfig& model) {
  if (length <= model.max_seq_len) return;
  fail(ErrorKind::usage,
       strprintf("%s %d: longer than model.max_seq_len = %d", option, length, model.max_seq_len));
}

std::string bytes(int64_t count) {
  return human_bytes(static_cast<double>(count));
}
std::string count(double number) {
  return human_count(number);
}
std::string count(int64_t number) {
  return count(static_cast<double>(number));
}

std::string row(const std::string& what, const std::string& amount, const std::string& note = "") {
  return strprintf("  %-24s %12s%s%s\n", what, amount, note.empty() ? "" : "   ", note);
}

std::string parts_text(const Plan& plan) {
  std::string out = strprintf("%-24s %20s %20s %8s\n", "PART", "PARAMETERS", "ACTIVE", "TIMES");
  for (const PartCount& part : plan.parts) {
    out += strprintf("%-24s %20s %20s %8d\n", part.name, with_commas(part.parameters),
                     with_commas(part.active_parameters), part.times_per_token);
  }
  return out + strprintf("%-24s %20s %20s\n", "total", with_commas(plan.parameters),
                         with_commas(plan.active_parameters));
}

double ratio(int64_t large, int64_t small) {
  return static_cast<double>(large) / static_cast<double>(small);
}

json cache_json(const PlanReport& r) {
  const SlotBytes slot = slot_bytes(r.model, Section::core);
  const SlotBytes all = token_bytes(r.model, r.plan.loops), few = token_bytes(r.model, 1);
  const int64_t slots = cache_slots(r.model, r.plan.loops), shared = cache_slots(r.model, 1);
  return {{"slots", slots},
          {"slots_shared", shared},
          {"slot_bytes",
           {{"bf16", slot.bf16},
            {"int8", slot.int8},
            {"mha_bf16", slot.mha_bf16},
            {"gqa_bf16", slot.gqa_bf16}}},
          {"bytes",
           {{"bf16", all.bf16},
            {"int8", all.int8},
            {"mha_bf16", all.mha_bf16},
            {"gqa_bf16", all.gqa_bf16},
            {"bf16_shared", few.bf16},
            {"int8_shared", few.int8}}},
          {"mha_ratio",
           {{"bf16", ratio(slot.mha_bf16, slot.bf16)}, {"int8", ratio(slot.mha_bf16, slot.int8)}}},
          {"gqa_ratio",
           {{"bf16", ratio(slot.gqa_bf16, slot.bf16)}, {"int8", ratio(slot.gqa_bf16, slot.int8)}}}};
}

// One token's keys and values, beside those of other kinds of attention.
std::string cache_text(const PlanReport& r) {
  const SlotBytes slot = slot_bytes(r.model, Section::core);
  const auto line = [&](const std::string& what, const SlotBytes& size) {
    return row(what, bytes(size.bf16), bytes(size.int8) + " in int8");
  };
  const auto other = [&](const std::string& what, int64_t size) {
    return row(what, bytes(size),
               strprintf("a slot, %.1f times as many; %.1f times int8", ratio(size, slot.bf16),
                         ratio(size, slot.int8)));
  };
  const int64_t slots = cache_slots(r.model, r.plan.loops), shared = cache_slots(r.model, 1);
  std::string out = "\nCache of keys and values in bf16, one token\n";
  const bool core_differs = r.model.core_kv_heads > 0;
  out += line(core_differs ? "a slot of the core" : "a slot", slot);
  out += line(with_commas(slots) + " slots", token_bytes(r.model, r.plan.loops));
  out += line(with_commas(shared) + " slots, loops sharing", token_bytes(r.model, 1));
  out += other("multi-head attention", slot.mha_bf16);
  if (r.model.attention == Attention::mla) {
    out += other(strprintf("grouped, %d of %d heads", r.model.n_kv_heads, r.model.n_heads),
                 slot.gqa_bf16);
  }
  return out;
}

}  // namespace

int64_t PlanReport::cache_bf16_bytes(int64_t context_tokens) const {
  return cache_bytes(model, plan.loops, context_tokens, 2);
}

int64_t PlanReport::macs_per_token() const {
  return (Whole(plan.matrix_macs_per_token) + plan.attention_macs_per_token).value();
}

PlanReport make_plan_report(const std::string& name, const Config& config,
                            const PlanOptions& options) {
  PlanReport r;
  r.name = name;
  r.model = config.model;
  r.batch_size = options.batch_size ? options.batch_size : config.train.batch_size;
  r.seq_len = options.seq_len ? options.seq_len : config.train.seq_len;
  r.contexts = options.contexts.empty() ? default_contexts(r.model.max_seq_len) : options.contexts;
  for (const int64_t length : r.contexts) require_within("--context", length, r.model);
  require_within("--seq-len", r.seq_len, r.model);
  r.plan = make_plan(r.model, options.loops, r.seq_len);
  r.training_flops = training_flops(config, r.plan.loops, r.seq_len);
  r.weights_fp32_bytes = weight_bytes(r.model, false);
  r.weights_bf16_bytes = weight_bytes(r.model, true);
  const Whole gradients = 4 * Whole(r.plan.parameters);
  r.gradients_bytes = gradients.value();
  r.optimizer_bytes = optimizer_bytes(r.model, config.train);
  const auto activations = [&](int64_t bytes_per_number) {
    return activation_bytes(r.model, {recorded_loops(config, r.plan.loops), r.batch_size, r.seq_len,
                                      bytes_per_number, config.train.recompute,
                                      /*accumulates=*/config.train.grad_accum > 1,
                                      wants_loop_outputs(config.objectives),
                                      /*jacobian=*/config.objectives.jacobian > 0});
  };
  r.activations_fp32_bytes = activations(4);
  r.activations_bf16_bytes = activations(2);
  r.update_bytes = muon_update_bytes(config, 1);
  const Whole stored = r.weights_fp32_bytes + gradients + r.optimizer_bytes;
  const auto at_the_peak = [&](Whole passes) {  // the update comes when these have gone
    return (stored + std::max(passes, Whole(r.update_bytes))).value();
  };
  r.training_fp32_bytes = at_the_peak(r.activations_fp32_bytes);
  r.training_bf16_bytes = at_the_peak(narrow_copy_bytes(r.model) + r.activations_bf16_bytes);
  return r;
}

json to_json(const PlanReport& r) {
  json parts = json::array(), caches = json::array();
  for (const PartCount& part : r.plan.parts) {
    parts.push_back({{"name", part.name},
                     {"parameters", part.parameters},
                     {"active_parameters", part.active_parameters},
                     {"times_per_token", part.times_per_token}});
  }
  for (const int64_t context : r.contexts) {
    caches.push_back({{"context_tokens", context}, {"bytes", r.cache_bf16_bytes(context)}});
  }
  return {{"name", r.name},
          {"parameters", r.plan.parameters},
          {"active_parameters", r.plan.active_parameters},
          {"buffers", r.plan.buffers},
          {"loops", r.plan.loops},
          {"parts", parts},
          {"macs_per_token",
           {{"matrix", r.plan.matrix_macs_per_token},
            {"attention", r.plan.attention_macs_per_token},
            {"total", r.macs_per_token()},
            {"context_tokens", r.plan.context_tokens}}},
          {"bytes",
           {{"weights_fp32", r.weights_fp32_bytes},
            {"weights_bf16", r.weights_bf16_bytes},
            {"weights_fp16", r.weights_bf16_bytes},
            {"gradients_fp32", r.gradients_bytes},
            {"optimizer_fp32", r.optimizer_bytes},
            {"activations_fp32", r.activations_fp32_bytes},
            {"activations_bf16", r.activations_bf16_bytes},
            {"activations_fp16", r.activations_bf16_bytes},
            {"update_fp32", r.update_bytes},
            {"training_fp32", r.training_fp32_bytes},
            {"training_bf16", r.training_bf16_bytes},
            {"training_fp16", r.training_bf16_bytes}}},
          {"micro_batch", {{"batch_size", r.batch_size}, {"seq_len", r.seq_len}}},
          {"cache_per_token", cache_json(r)},
          {"cache_bf16", caches}};
}

std::string plan_text(const PlanReport& r) {
  const int64_t loops = r.plan.loops;
  const std::string micro_batch =
      strprintf("estimate, micro-batch %d x %d", r.batch_size, r.seq_len);
  std::string out = strprintf("%s, %d loops\n\n", shown(r.name), loops) + parts_text(r.plan);
  out += strprintf("\nMultiply-accumulates of one token's forward pass at %d loops\n", loops);
  out += row("matrix products", count(r.plan.matrix_macs_per_token));
  out += row("attention", count(r.plan.attention_macs_per_token),
             strprintf("mean over a sequence of %d", r.seq_len));
  out += row("total", count(r.macs_per_token()),
             count(r.training_flops) + " FLOPs to train on a token");
  out += "\nMemory\n";
  out += row("weights, fp32", bytes(r.weights_fp32_bytes));
  out += row("weights, bf16, fp16", bytes(r.weights_bf16_bytes), "vectors and routers stay fp32");
  out += row("gradients, fp32", bytes(r.gradients_bytes));
  out += row("optimizer state, fp32", bytes(r.optimizer_bytes));
  out += row("activations, fp32", bytes(r.activations_fp32_bytes), micro_batch);
  out += row("activations, bf16, fp16", bytes(r.activations_bf16_bytes), micro_batch);
  if (r.update_bytes > 0) {
    out += row("update by Muon", bytes(r.update_bytes), "when activations have gone");
  }
  out +=
      row("training in fp32", bytes(r.training_fp32_bytes), "all at the peak, beside the programs");
  out += row("training in bf16, fp16", bytes(r.training_bf16_bytes), "with weights in both types");
  out += cache_text(r);
  out += "\nCache of keys and values in bf16, one sequence\n";
  for (const int64_t context : r.contexts) {
    out += row(with_commas(context) + " tokens", bytes(r.cache_bf16_bytes(context)));
  }
  return out;
}

std::string plan_table(const std::vector<PlanReport>& reports) {
  std::string out =
      strprintf("%-16s %19s %11s %5s %11s %11s %11s %11s %9s\n", "PRESET", "PARAMETERS", "ACTIVE",
                "LOOPS", "MACS/TOKEN", "WEIGHTS", "TRAINING", "CACHE", "CONTEXT");
  for (const PlanReport& r : reports) {
    const int64_t context = r.contexts.back();
    const int64_t training =
        (Whole(r.weights_fp32_bytes) + r.gradients_bytes + r.optimizer_bytes).value();
    out += strprintf("%-16s %19s %11s %5d %11s %11s %11s %11s %9d\n", shown(r.name),
                     with_commas(r.plan.parameters), count(r.plan.active_parameters), r.plan.loops,
                     count(r.macs_per_token()), bytes(r.weights_bf16_bytes), bytes(training),
                     bytes(r.cache_bf16_bytes(context)), context);
  }
  return out +
         "\nWEIGHTS: in bf16, for inference. TRAINING: weights, gradients, optimizer state in "
         "fp32,\n"
         "without activations. CACHE: keys and values of one sequence of CONTEXT tokens in bf16.\n";
}

}  // namespace mythos
