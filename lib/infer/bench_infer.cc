#include "infer/bench_infer.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"
#include "infer/session.h"

namespace mythos {
namespace {

void check_fits(const ModelConfig& config, int64_t tokens) {
  if (tokens <= config.max_seq_len) return;
  fail(ErrorKind::usage,
       strprintf("%s tokens do not fit the model's context of %s (max_seq_len).\n"
                 "Ask for fewer, or raise it with --set max_seq_len=%lld",
                 with_commas(tokens).c_str(), with_commas(config.max_seq_len).c_str(),
                 static_cast<long long>(tokens)));
}

Session make_session(const Model& model, const ModelBench& options) {
  Session::Options session;
  session.compute_type =
      options.compute_type == torch::kBFloat16 ? ComputeType::bf16 : ComputeType::fp32;
  return Session(model, session);
}

// Only the last token's logits are formed.
ModelWork prefill_work(const ModelConfig& config, int64_t loops, int64_t seq_len) {
  const Plan plan = make_plan(config, loops, seq_len);
  const int64_t head = config.vocab_size * config.dim;
  const int64_t macs =
      seq_len * (plan.matrix_macs_per_token + plan.attention_macs_per_token - head) + head;
  return {static_cast<double>(seq_len), 2.0 * static_cast<double>(macs), 0};
}

// Every use of a weight reads it, in each loop again, and every token reads the whole cache.
ModelWork decode_work(const ModelConfig& config, int64_t loops, int64_t context, int64_t tokens,
                      int64_t bytes_per_number) {
  // The plan's attention is over half of its context on average.
  const Plan plan = make_plan(config, loops, 2 * context);
  const auto macs = static_cast<double>(plan.matrix_macs_per_token + plan.attention_macs_per_token);
  const auto bytes = static_cast<double>(plan.matrix_macs_per_token * bytes_per_number +
                                         cache_bytes(config, loops, context, bytes_per_number));
  const auto count = static_cast<double>(tokens);
  return {count, 2 * macs * count, bytes * count};
}

}  // namespace

BenchResult bench_prefill(const Model& model, int64_t seq_len, const ModelBench& options) {
  check_fits(model.config, seq_len);
  ModelBenchRun run("prefill", model, options);
  run.facts()["seq_len"] = seq_len;
  const std::vector<uint32_t> ids = random_ids(seq_len, model.config.vocab_size, options.seed);
  Session session = make_session(model, options);
  for (const int64_t loops : run.loops()) {
    session.set_loops(loops);
    run.measure_row(loops, prefill_work(model.config, loops, seq_len), [&] {
      session.truncate(0);
      session.feed(ids);
    });
  }
  return run.finish();
}

BenchResult bench_decode(const Model& model, int64_t context, int64_t tokens,
                         const ModelBench& options) {
  check_fits(model.config, context + tokens);
  ModelBenchRun run("decode", model, options);
  run.facts()["context"] = context;
  run.facts()["tokens_per_sample"] = tokens;
  const std::vector<uint32_t> ids =
      random_ids(context + tokens, model.config.vocab_size, options.seed);
  const std::span<const uint32_t> all(ids);
  const int64_t bytes_per_number = static_cast<int64_t>(c10::elementSize(options.compute_type));
  Session session = make_session(model, options);
  for (const int64_t loops : run.loops()) {
    session.set_loops(loops);
    session.feed(all.first(static_cast<size_t>(context)));
    run.measure_row(loops, decode_work(model.config, loops, context, tokens, bytes_per_number),
                    [&] {
                      for (int64_t i = context; i < context + tokens; ++i) {
                        session.feed(all.subspan(static_cast<size_t>(i), 1));
                      }
                      session.truncate(context);
                    });
  }
  return run.finish();
}

}  // namespace mythos
