#include "eval/evaluation.h"

#include <ATen/core/grad_mode.h>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/strings.h"
#include "config/loop_distribution.h"
#include "device/device.h"
#include "eval/decode_likelihood.h"
#include "eval/loop_counts.h"

namespace mythos {
namespace {

const Tokenizer& carried_tokenizer(const LoadedCheckpoint& loaded) {
  if (loaded.tokenizer) return *loaded.tokenizer;
  fail(ErrorKind::data,
       loaded.path.string() +
           ": carries no tokenizer, so it cannot be told whether the shards are its own.",
       "Import the model again with --tokenizer TOK");
}

void hint_at_documents(const ShardDirectory& data, const LoadedCheckpoint& loaded) {
  const DocumentEnds here = data.manifest().document_ends();
  if (!loaded.documents || !differs(here, *loaded.documents)) return;
  log_warning(data.path().string() + ": documents stand " + describe(here) +
              "; in training they stood " + describe(*loaded.documents) +
              ", so the model is measured on what it was not taught");
}

// Fewer loops than in training are worth a word only where they were `asked` for.
void warn_of_loops(const LoadedCheckpoint& loaded, const std::vector<int64_t>& loops, bool asked) {
  DepthWarning depth(loaded.config.train, loaded.config.model, loaded.was_trained());
  for (const int64_t n : loops) asked ? depth.check(n) : depth.check_most(n);
}

LikelihoodOptions window_options(const EvalOptions& options, const Config& config) {
  LikelihoodOptions windows;
  windows.split = options.split;
  windows.batch_size = options.batch_size;
  windows.max_tokens = options.max_tokens;
  windows.seq_len = options.seq_len > 0 ? options.seq_len
                                        : std::min(config.train.seq_len, config.model.max_seq_len);
  TrainConfig train = config.train;
  train.packing = options.packing.value_or(train.packing);
  windows.packing = train.packing;
  windows.masks_documents = train.masks_documents();
  if (options.ranks) {
    windows.part = options.ranks->rank();
    windows.parts = options.ranks->size();
    windows.combine = [ranks = options.ranks](Tensor& sums) { ranks->start_sum(sums)->wait(); };
  }
  if (windows.seq_len > config.model.max_seq_len) {
    fail(ErrorKind::usage, strprintf("--seq-len %d: at most model.max_seq_len = %d",
                                     windows.seq_len, config.model.max_seq_len));
  }
  if (options.stride > windows.seq_len) {
    fail(ErrorKind::usage, strprintf("--stride %d: at most the window, --seq-len = %d",
                                     options.stride, windows.seq_len));
  }
  return windows;
}

// The split of one checkpoint's evaluation, and how models are measured on it.
struct Measurement {
  const ShardDirectory& data;
  std::vector<int32_t> byte_lengths;
  at::ScalarType compute_type;
  StoredBf16 stored;
  std::optional<DecodeConfig> decode;
  LikelihoodOptions windows;
  DividedExperts* experts;

  int64_t targets() const {
    const auto all = static_cast<int64_t>(data.tokens(windows.split)) - 1;
    return windows.max_tokens > 0 ? std::min(all, windows.max_tokens) : all;
  }
};

// A row for each loop count, under a line of progress that begins with `label`.
std::vector<Likelihood> measure_rows(const Measurement& measurement, const Model& model,
                                     const std::vector<int64_t>& loops, int64_t stride,
                                     const std::string& label, EvalReport& report) {
  const at::NoGradGuard no_grad;
  std::optional<Decoder> decoder;
  Weights weights;
  if (measurement.decode) {
    Decoder::Options options;
    static_cast<DecodeConfig&>(options) = *measurement.decode;
    options.experts = measurement.experts;
    decoder.emplace(model, options);
    report.weight_bytes = size_bytes(model.config, decoder->weights());
  } else {
    weights = make_weights(model.config, model.parameters, measurement.compute_type, {},
                           measurement.stored);
  }
  LikelihoodOptions windows = measurement.windows;
  windows.stride = stride;
  windows.experts = measurement.experts;
  std::vector<Likelihood> rows;
  const auto measure = [&] {
    for (const int64_t n : loops) {
      std::string title = label + strprintf("%d loops", n);
      if (stride > 0) title += strprintf(", stride %d", stride);
      Progress progress(title + ":", measurement.targets(), "tokens");
      windows.loops = n;
      windows.on_progress = [&](int64_t tokens) { progress.update(tokens); };
      rows.push_back(
          decoder ? evaluate_decode(*decoder, measurement.data, measurement.byte_lengths, windows)
                  : evaluate(model.config, weights, measurement.data, measurement.byte_lengths,
                             windows));
    }
  };
  run_with(measurement.experts, decoder ? decoder->weights() : weights, measure);
  return rows;
}

}  // namespace

EvalReport evaluate_checkpoint(const LoadedCheckpoint& loaded, at::Device device,
                               const EvalOptions& options) {
  if (options.ranks && options.decode) {
    fail(ErrorKind::usage, "windows that are decoded token by token are measured by one process",
         "Leave --nproc and the launcher out, or --decode and the options of [decode]");
  }
  const ModelConfig& config = loaded.config.model;
  const Tokenizer& tokenizer = carried_tokenizer(loaded);
  const ShardDirectory data(options.data);
  data.require_tokenizer(tokenizer.fingerprint(), "the checkpoint " + loaded.path.string());
  hint_at_documents(data, loaded);
  const ComputeType type = options.decode ? options.decode->compute_type : options.compute_type;
  const Measurement measurement{data,
                                tokenizer.byte_lengths(),
                                resolve_compute_type(type, device),
                                stored_bf16(type, device),
                                options.decode,
                                window_options(options, loaded.config),
                                options.experts};
  const auto loops = options.loops.empty() ? doubling_loops(config.max_loop_iters) : options.loops;
  warn_of_loops(loaded, loops, !options.loops.empty());

  EvalReport report;
  report.checkpoint = loaded.path.string();
  report.data = options.data;
  report.split = options.split == ShardDirectory::Split::val ? "val" : "train";
  report.device = device.str();
  report.compute_type = compute_type_name(measurement.compute_type);
  report.step = loaded.state.value("step", int64_t{0});
  report.seq_len = measurement.windows.seq_len;
  report.packing = measurement.windows.packing;
  report.decode = options.decode;
  report.loops = measure_rows(measurement, *loaded.model, loops, 0, "", report);
  if (options.stride > 0) {
    report.stride = options.stride;
    report.sliding = measure_rows(measurement, *loaded.model, loops, options.stride, "", report);
  }
  if (options.untrained) {
    Model fresh(config, device);
    fresh.parameters.initialize(config, static_cast<uint64_t>(loaded.config.train.seed));
    Measurement plain = measurement;
    // A basis fits the weights that it was made for.
    if (plain.decode && plain.decode->cache.sharing == CacheSharing::low_rank) {
      plain.decode->cache.sharing = CacheSharing::per_loop;
    }
    report.untrained =
        measure_rows(plain, fresh, {config.max_loop_iters}, 0, "untrained, ", report).front();
  }
  if (options.baseline) {
    report.unigram = unigram_baseline(data, measurement.byte_lengths, options.split,
                                      options.max_tokens, measurement.windows.packing);
  }
  return report;
}

}  // namespace mythos
