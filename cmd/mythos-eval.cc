#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"
#include "eval/report.h"
#include "kernels/compute_options.h"
#include "kernels/device.h"

using namespace mythos;

namespace {

struct Options {
  std::string checkpoint, data, loops, split = "val";
  int64_t max_tokens = 0, batch_size = 0, seq_len = 0;
  ComputeOptions compute;
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
  Evaluation(const Options& options, const LoadedCheckpoint& loaded, torch::Device device)
      : loaded_(loaded), data_(options.data), device_(device) {
    if (!loaded.tokenizer) {
      fail(ErrorKind::data, loaded.path.string() +
                                ": carries no tokenizer, so it cannot be told whether the shards "
                                "are its own.\nImport the model again with --tokenizer TOK");
    }
    data_.require_tokenizer(loaded.tokenizer->fingerprint(),
                            "the checkpoint " + loaded.path.string());
    byte_lengths_ = loaded.tokenizer->byte_lengths();
    compute_type_ = resolve_compute_type(options.compute.compute_type(), device);
    const Config& config = loaded.config;
    likelihood_.seq_len = options.seq_len > 0
                              ? options.seq_len
                              : std::min(config.train.seq_len, config.model.max_seq_len);
    if (likelihood_.seq_len > config.model.max_seq_len) {
      fail(ErrorKind::usage, strprintf("--seq-len %lld: at most model.max_seq_len = %lld",
                                       static_cast<long long>(likelihood_.seq_len),
                                       static_cast<long long>(config.model.max_seq_len)));
    }
    likelihood_.split =
        options.split == "val" ? ShardDirectory::Split::val : ShardDirectory::Split::train;
    likelihood_.batch_size = options.batch_size;
    likelihood_.max_tokens = options.max_tokens;
  }

  Likelihood model(const Parameters& parameters, int64_t loops, const std::string& label) {
    const torch::NoGradGuard no_grad;
    const Weights weights = make_weights(loaded_.config.model, parameters, compute_type_);
    const auto all = static_cast<int64_t>(data_.tokens(likelihood_.split)) - 1;
    const int64_t total = likelihood_.max_tokens > 0 ? std::min(all, likelihood_.max_tokens) : all;
    Progress progress(label, total, "tokens");
    likelihood_.loops = loops;
    likelihood_.on_progress = [&](int64_t tokens) { progress.update(tokens); };
    return evaluate(loaded_.config.model, weights, data_, byte_lengths_, likelihood_);
  }

  EvalReport report(const Options& options) {
    const ModelConfig& config = loaded_.config.model;
    EvalReport report;
    report.checkpoint = loaded_.path.string();
    report.data = options.data;
    report.split = options.split;
    report.device = device_.str();
    report.compute_type = compute_type_ == torch::kBFloat16 ? "bf16" : "fp32";
    report.step = loaded_.state.value("step", int64_t{0});
    report.seq_len = likelihood_.seq_len;
    const auto loops = options.loops.empty() ? default_loops(config.max_loop_iters)
                                             : parse_int_list(options.loops, "--loops");
    for (const int64_t n : loops) {
      report.loops.push_back(
          model(loaded_.model->parameters, n, strprintf("%lld loops:", static_cast<long long>(n))));
    }
    if (options.untrained) {
      Model fresh(config, device_);
      fresh.parameters.initialize(config, static_cast<uint64_t>(loaded_.config.train.seed));
      report.untrained = model(fresh.parameters, config.max_loop_iters, "untrained:");
    }
    if (options.baseline) {
      report.unigram =
          unigram_baseline(data_, byte_lengths_, likelihood_.split, likelihood_.max_tokens);
    }
    return report;
  }

 private:
  const LoadedCheckpoint& loaded_;
  ShardDirectory data_;
  torch::Device device_;
  torch::Dtype compute_type_ = torch::kFloat32;
  std::vector<int32_t> byte_lengths_;
  LikelihoodOptions likelihood_;
};

int run(const Options& options) {
  const torch::Device device = options.compute.select();
  const LoadedCheckpoint loaded = load_checkpoint(options.checkpoint, device);
  const EvalReport report = Evaluation(options, loaded, device).report(options);
  if (options.as_json) {
    std::printf("%s\n", to_json(report).dump(2).c_str());
    return 0;
  }
  const Likelihood& any = report.loops.front();
  log_info(strprintf("%s on the %s split of %s: %s tokens, %s bytes, windows of %lld",
                     report.checkpoint.c_str(), report.split.c_str(), report.data.c_str(),
                     with_commas(any.tokens).c_str(), with_commas(any.bytes).c_str(),
                     static_cast<long long>(report.seq_len)));
  std::fputs(eval_table(report).c_str(), stdout);
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
  app.add_option("--batch-size", o.batch_size, "Windows of a batch; default: 8192 tokens' worth")
      ->type_name("N")
      ->check(count);
  o.compute.declare_dtype(app);
  o.compute.declare(app);
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
          mythos eval --checkpoint runs/nano --data shards --untrained --json)",
       [&](CLI::App& app) { declare(app, options); }, [&] { return run(options); }});
}
