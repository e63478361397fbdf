#include "infer/engine/bench_infer.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/memory.h"
#include "base/strings.h"

namespace mythos {
namespace {

void check_fits(const ModelConfig& config, int64_t tokens) {
  if (tokens <= config.max_seq_len) return;
  fail(ErrorKind::usage,
       strprintf("%s tokens do not fit the model's context of %s (max_seq_len).",
                 with_commas(tokens), with_commas(config.max_seq_len)),
       strprintf("Ask for fewer, or raise it with --set max_seq_len=%d", tokens));
}

// Fails (resources) before anything is made where what the sequences of a step keep, their tokens,
// caches and logits, is more than memory.
void check_memory(const Decoder& decoder, const InferBench& options, int64_t loops) {
  auto each = 4.0 * static_cast<double>(decoder.config().vocab_size + options.tokens);
  if (decoder.device().is_cpu()) {
    const int64_t token = decoder.make_cache(loops, 1)->bytes_per_token();
    each += static_cast<double>(token) * static_cast<double>(options.context + options.tokens);
  }
  const double needed = each * static_cast<double>(options.batch_size);
  if (needed <= available_memory_bytes()) return;
  fail(ErrorKind::resources,
       strprintf("%s sequences take %s at %d loops, and this machine has %s left.",
                 with_commas(options.batch_size), human_bytes(needed), loops,
                 human_bytes(available_memory_bytes())),
       "Measure fewer with --batch-size");
}

Decoder::Options decoder_options(const InferBench& options) {
  Decoder::Options decoder;
  static_cast<DecodeConfig&>(decoder) = options.decode;
  decoder.exit = ExitRule::none;
  return decoder;
}

void add_facts(nlohmann::ordered_json& facts, const InferBench& options) {
  facts["weights"] = enum_name(options.decode.weights);
  facts["cache_type"] = enum_name(options.decode.cache.type);
  facts["cache_sharing"] = enum_name(options.decode.cache.sharing);
}

// Only the last token's logits are formed.
ModelWork prefill_work(const ModelConfig& config, int64_t loops, int64_t seq_len) {
  const Plan plan = make_plan(config, loops, seq_len);
  const int64_t head = config.vocab_size * config.dim;
  const int64_t macs =
      seq_len * (plan.matrix_macs_per_token + plan.attention_macs_per_token - head) + head;
  return {static_cast<double>(seq_len), 2.0 * static_cast<double>(macs), 0};
}

double bytes_per_weight(at::ScalarType plain, WeightFormat format) {
  if (format == WeightFormat::plain) return static_cast<double>(c10::elementSize(plain));
  return (format == WeightFormat::int8 ? 1 : 0.5) + 2.0 / kWeightGroup;
}

// The bytes of the weights that one step of all sequences multiplies by, each read at each use;
// those that are not rounded are of type `plain`. Of the routed experts, as many are counted as
// that many tokens reach when they choose evenly.
double weight_bytes_of_step(const ModelConfig& config, const Plan& plan, const InferBench& options,
                            at::ScalarType plain) {
  const auto head = static_cast<double>(config.vocab_size * config.dim);
  double routed = 0;
  for (const PartCount& part : plan.parts) {
    if (part.name.ends_with("routed experts")) {
      routed += static_cast<double>(part.active_parameters * part.times_per_token);
    }
  }
  const double each = static_cast<double>(config.n_experts_per_tok) / config.n_experts;
  const double reached = (1 - std::pow(1 - each, options.batch_size)) / each;
  const double others = static_cast<double>(plan.matrix_macs_per_token) - head - routed;
  // int4 leaves the head in int8.
  const WeightFormat head_format =
      options.decode.weights == WeightFormat::int4 ? WeightFormat::int8 : options.decode.weights;
  return (others + routed * reached) * bytes_per_weight(plain, options.decode.weights) +
         head * bytes_per_weight(plain, head_format);
}

// Every layer of every loop reads its slot, its own or a shared one.
double cache_bytes_of_token(const ModelConfig& config, const KvCache& cache, int64_t context,
                            const CacheOptions& options) {
  const int64_t passes = cache_slots(config, cache.loops());
  const int64_t slots = cache_slots(config, options.own_loops(cache.loops()));
  return static_cast<double>(cache.bytes_per_token() * context) * static_cast<double>(passes) /
         static_cast<double>(slots);
}

ModelWork decode_work(const Decoder& decoder, const KvCache& cache, const InferBench& options) {
  const ModelConfig& config = decoder.config();
  // The plan's attention is over half of its context on average.
  const Plan plan = make_plan(config, cache.loops(), 2 * options.context);
  const auto macs = static_cast<double>(plan.matrix_macs_per_token + plan.attention_macs_per_token);
  const auto steps = static_cast<double>(options.tokens);
  const double tokens = steps * static_cast<double>(options.batch_size);
  return {
      tokens, 2 * macs * tokens,
      steps * weight_bytes_of_step(config, plan, options, decoder.weights().embed.scalar_type()) +
          tokens * cache_bytes_of_token(config, cache, options.context, options.decode.cache)};
}

// Sequences that go on from one context, all in each step.
class DecodeBatch {
 public:
  DecodeBatch(Decoder& decoder, const InferBench& options, int64_t loops)
      : decoder_(decoder),
        options_(options),
        ids_(random_ids(options.context + options.tokens * options.batch_size,
                        decoder.config().vocab_size, options.seed)),
        logits_(static_cast<size_t>(options.batch_size * decoder.config().vocab_size)) {
    const std::span<const uint32_t> all(ids_);
    for (int64_t i = 0; i < options.batch_size; ++i) {
      caches_.push_back(decoder.make_cache(loops, options.context + options.tokens));
      decoder.prefill(*caches_.back(), all.first(static_cast<size_t>(options.context)),
                      logits_.data());
    }
  }

  const KvCache& cache() const { return *caches_.front(); }

  void run() {
    std::vector<Decoder::Row> rows(caches_.size());
    auto id = ids_.begin() + options_.context;
    for (int64_t i = 0; i < options_.tokens; ++i) {
      for (size_t row = 0; row < rows.size(); ++row) {
        rows[row].cache = caches_[row].get();
        rows[row].id = *id++;
        rows[row].logits = &logits_[row * static_cast<size_t>(decoder_.config().vocab_size)];
      }
      decoder_.step(rows);
    }
    for (const auto& cache : caches_) cache->truncate(options_.context);
  }

 private:
  Decoder& decoder_;
  const InferBench& options_;
  std::vector<uint32_t> ids_;
  std::vector<float> logits_;  // [B,V]
  std::vector<std::unique_ptr<KvCache>> caches_;
};

}  // namespace

BenchResult bench_prefill(Model&& model, const InferBench& options) {
  check_fits(model.config, options.seq_len);
  ModelBenchRun run("prefill", model, options);
  run.facts()["seq_len"] = options.seq_len;
  add_facts(run.facts(), options);
  Decoder decoder(std::move(model), decoder_options(options), options.prepare);
  const ModelConfig& config = decoder.config();
  const std::vector<uint32_t> ids = random_ids(options.seq_len, config.vocab_size, options.seed);
  std::vector<float> logits(static_cast<size_t>(config.vocab_size));
  for (const int64_t loops : run.loops()) {
    const auto cache = decoder.make_cache(loops, options.seq_len);
    run.measure_row(loops, prefill_work(config, loops, options.seq_len), [&] {
      cache->truncate(0);
      decoder.prefill(*cache, ids, logits.data());
    });
  }
  return run.finish();
}

BenchResult bench_decode(Model&& model, const InferBench& options) {
  check_fits(model.config, options.context + options.tokens);
  ModelBenchRun run("decode", model, options);
  run.facts()["context"] = options.context;
  run.facts()["batch_size"] = options.batch_size;
  run.facts()["tokens_per_sample"] = options.tokens;
  add_facts(run.facts(), options);
  Decoder decoder(std::move(model), decoder_options(options), options.prepare);
  for (const int64_t loops : run.loops()) check_memory(decoder, options, loops);
  for (const int64_t loops : run.loops()) {
    DecodeBatch batch(decoder, options, loops);
    run.measure_row(loops, decode_work(decoder, batch.cache(), options), [&] { batch.run(); });
  }
  return run.finish();
}

}  // namespace mythos
