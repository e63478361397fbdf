#include <ATen/core/grad_mode.h>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/log.h"
#include "base/print.h"
#include "base/progress.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"
#include "config/key_options.h"
#include "config/loop_distribution.h"
#include "device/compute_options.h"
#include "device/device.h"
#include "eval/decode_likelihood.h"
#include "eval/report.h"

using namespace mythos;

namespace {

struct Options {
  std::string checkpoint, data, loops, split = "val";
  int64_t max_tokens = 0, batch_size = 0, seq_len = 0, stride = 0;
  ComputeOptions compute;
  DecodeOptions decode_options;
  bool decode = false;
  bool baseline = false, untrained = false, as_json = false;
};

// Powers of two up to the model's own loop count, and that.
std::vector<int64_t> default_loops(int64_t max_loop_iters) {
  std::vector<int64_t> loops;
  for (int64_t n = 1; n < max_loop_iters; n *= 2) loops.push_back(n);
  loops.push_back(max_loop_iters);
  return loops;
}

class Evaluation {
 public:
  Evaluation(const Options& options, const DecodeConfig& decode, const LoadedCheckpoint& loaded,
             at::Device device)
      : loaded_(loaded), data_(options.data), device_(device) {
    if (!loaded.tokenizer) {
      fail(ErrorKind::data,
           loaded.path.string() +
               ": carries no tokenizer, so it cannot be told whether the shards "
               "are its own.",
           "Import the model again with --tokenizer TOK");
    }
    data_.require_tokenizer(loaded.tokenizer->fingerprint(),
                            "the checkpoint " + loaded.path.string());
    hint_at_documents();
    byte_lengths_ = loaded.tokenizer->byte_lengths();
    const Config& config = loaded.config;
    compute_type_ = resolve_compute_type(decode.compute_type, device);
    if (options.decode || options.decode_options.any_given()) {
      static_cast<DecodeConfig&>(decode_.emplace()) = decode;
    }
    likelihood_.seq_len = options.seq_len > 0
                              ? options.seq_len
                              : std::min(config.train.seq_len, config.model.max_seq_len);
    if (likelihood_.seq_len > config.model.max_seq_len) {
      fail(ErrorKind::usage, strprintf("--seq-len %lld: at most model.max_seq_len = %lld",
                                       static_cast<long long>(likelihood_.seq_len),
                                       static_cast<long long>(config.model.max_seq_len)));
    }
    if (options.stride > likelihood_.seq_len) {
      fail(ErrorKind::usage, strprintf("--stride %lld: at most the window, --seq-len = %lld",
                                       static_cast<long long>(options.stride),
                                       static_cast<long long>(likelihood_.seq_len)));
    }
    likelihood_.split =
        options.split == "val" ? ShardDirectory::Split::val : ShardDirectory::Split::train;
    likelihood_.batch_size = options.batch_size;
    likelihood_.max_tokens = options.max_tokens;
  }

  // A row for each of the loop counts, under the label "N loops:".
  std::vector<Likelihood> rows(const Model& model, const std::vector<int64_t>& loops,
                               EvalReport& report, const std::string& label = "") {
    const at::NoGradGuard no_grad;
    std::optional<Decoder> decoder;
    Weights weights;
    if (decode_) {
      decoder.emplace(model, *decode_);
      report.weight_bytes = size_bytes(decoder->weights());
    } else {
      weights = make_weights(model.config, model.parameters, compute_type_);
    }
    const auto all = static_cast<int64_t>(data_.tokens(likelihood_.split)) - 1;
    const int64_t total = likelihood_.max_tokens > 0 ? std::min(all, likelihood_.max_tokens) : all;
    std::vector<Likelihood> out;
    for (const int64_t n : loops) {
      std::string title = label + strprintf("%lld loops", static_cast<long long>(n));
      if (likelihood_.stride > 0) {
        title += strprintf(", stride %lld", static_cast<long long>(likelihood_.stride));
      }
      Progress progress(title + ":", total, "tokens");
      likelihood_.loops = n;
      likelihood_.on_progress = [&](int64_t tokens) { progress.update(tokens); };
      out.push_back(decoder ? evaluate_decode(*decoder, data_, byte_lengths_, likelihood_)
                            : evaluate(model.config, weights, data_, byte_lengths_, likelihood_));
    }
    return out;
  }

  EvalReport report(const Options& options) {
    const ModelConfig& config = loaded_.config.model;
    EvalReport report;
    report.checkpoint = loaded_.path.string();
    report.data = options.data;
    report.split = options.split;
    report.device = device_.str();
    report.compute_type = compute_type_name(compute_type_);
    report.step = loaded_.state.value("step", int64_t{0});
    report.seq_len = likelihood_.seq_len;
    const auto loops = options.loops.empty() ? default_loops(config.max_loop_iters)
                                             : parse_int_list(options.loops, "--loops");
    warn_of_depth(loops, !options.loops.empty());
    report.decode = decode_;
    report.loops = rows(*loaded_.model, loops, report);
    if (options.stride > 0) {
      report.stride = likelihood_.stride = options.stride;
      report.sliding = rows(*loaded_.model, loops, report);
      likelihood_.stride = 0;
    }
    if (options.untrained) {
      Model fresh(config, device_);
      fresh.parameters.initialize(config, static_cast<uint64_t>(loaded_.config.train.seed));
      report.untrained = rows(fresh, {config.max_loop_iters}, report, "untrained, ").front();
    }
    if (options.baseline) {
      report.unigram =
          unigram_baseline(data_, byte_lengths_, likelihood_.split, likelihood_.max_tokens);
    }
    return report;
  }

 private:
  void hint_at_documents() const {
    const DocumentEnds here = data_.manifest().document_ends();
    if (!loaded_.documents || !differs(here, *loaded_.documents)) return;
    log_warning(data_.path().string() + ": documents stand " + describe(here) +
                "; in training they stood " + describe(*loaded_.documents) +
                ", so the model is measured on what it was not taught");
  }

  // Fewer loops than in training are worth a word only where they were `asked` for.
  void warn_of_depth(const std::vector<int64_t>& loops, bool asked) const {
    DepthWarning depth(loaded_.config.train, loaded_.config.model, loaded_.was_trained());
    for (const int64_t n : loops) asked ? depth.check(n) : depth.check_most(n);
  }

  const LoadedCheckpoint& loaded_;
  ShardDirectory data_;
  at::Device device_;
  at::ScalarType compute_type_ = at::kFloat;
  std::optional<Decoder::Options> decode_;  // with --decode
  std::vector<int32_t> byte_lengths_;
  LikelihoodOptions likelihood_;
};

// What the options say over the checkpoint's own [decode].
DecodeConfig resolve(const DecodeOptions& options, const DecodeConfig& of_checkpoint) {
  DecodeConfig decode = options.resolve(of_checkpoint);
  if (options.given("exit_threshold") && !decode.has_threshold()) {
    fail(ErrorKind::usage, "--exit-threshold belongs to --exit latent and --exit kl");
  }
  decode.exit_threshold = decode.threshold();
  return decode;
}

// The table has been printed, so that what was finite can be read.
void require_finite(const EvalReport& report, const NonFinite& weights) {
  const std::string rows = report.nonfinite_rows();
  if (rows.empty()) return;
  fail(ErrorKind::check_failed,
       report.checkpoint + ": the likelihood is not a finite number at " + rows + ".",
       weights.cause());
}

int run(const Options& options) {
  options.decode_options.resolve({});  // mistakes are told before the checkpoint is read
  const at::Device device = options.compute.select();
  const LoadedCheckpoint loaded = load_checkpoint(options.checkpoint, device);
  const DecodeConfig decode = resolve(options.decode_options, loaded.config.decode);
  const EvalReport report = Evaluation(options, decode, loaded, device).report(options);
  if (options.as_json) {
    print_json(to_json(report));
    require_finite(report, loaded.nonfinite);
    return 0;
  }
  const Likelihood& any = report.loops.front();
  std::string windows = strprintf("windows of %lld", static_cast<long long>(report.seq_len));
  if (report.stride > 0) {
    windows += strprintf(", then one every %lld tokens", static_cast<long long>(report.stride));
  }
  log_info(strprintf("%s on the %s split of %s: %s tokens, %s bytes, %s", report.checkpoint.c_str(),
                     report.split.c_str(), report.data.c_str(), with_commas(any.tokens).c_str(),
                     with_commas(any.bytes).c_str(), windows.c_str()));
  print_lines(eval_table(report));
  require_finite(report, loaded.nonfinite);
  return 0;
}

void declare(CLI::App& app, Options& o) {
  const auto count = CLI::Range(int64_t{1}, int64_t{1} << 50);
  app.add_option("--checkpoint", o.checkpoint, "Run folder or step folder of a trained model")
      ->type_name("RUN")
      ->required();
  app.add_option("--data", o.data, "Shard directory made with the model's tokenizer")
      ->type_name("DIR")
      ->required();
  app.add_option("--loops", o.loops,
                 "Loop counts, more than trained allowed; default: 1,2,4,… max_loop_iters")
      ->type_name("N,N,…");
  app.add_option("--split", o.split, "val or train; default: val")
      ->type_name("SPLIT")
      ->check(CLI::IsMember({"val", "train"}));
  app.add_option("--max-tokens", o.max_tokens, "Tokens to predict; default: the whole split")
      ->type_name("N")
      ->check(count);
  app.add_option("--seq-len", o.seq_len, "Tokens of a window; default: that of training")
      ->type_name("N")
      ->check(count);
  app.add_option("--stride", o.stride,
                 "Measure with overlapping windows as well, one every N tokens, at most --seq-len: "
                 "each token is predicted once, from more of what came before it")
      ->type_name("N")
      ->check(count);
  app.add_option("--batch-size", o.batch_size,
                 "Windows of a batch; default: 8192 tokens' worth, with --decode 32")
      ->type_name("N")
      ->check(count);
  o.compute.declare(app);
  app.add_flag("--decode", o.decode,
               "Compute token by token as 'generate' does; the options of [decode] but --dtype "
               "imply it");
  o.decode_options.declare(
      app, {"dtype", "weights", "cache_type", "cache_sharing", "exit", "exit_threshold"});
  app.add_flag("--baseline", o.baseline, "Add the unigram distribution of the training split");
  app.add_flag("--untrained", o.untrained, "Add the same configuration with fresh weights");
  app.add_flag("--json", o.as_json, "Print one JSON object (mythos.eval/1)");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return run_command(
      argc, argv,
      {"mythos-eval", "Measure how well a model predicts a split, at several loop counts.",
       R"(mythos eval --checkpoint runs/nano --data shards
          mythos eval --checkpoint runs/nano --data shards --loops 1,2,4,8,16,32 --baseline
          mythos eval --checkpoint runs/nano --data shards --untrained --json
          mythos eval --checkpoint runs/nano --data shards --weights int4 --cache-type int8)",
       [&](CLI::App& app) { declare(app, options); }, [&] { return run(options); },
       "A smaller --batch-size or --seq-len needs less."});
}
