#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/cli.h"
#include "base/error.h"
#include "base/log.h"
#include "base/print.h"
#include "base/strings.h"
#include "checkpoint_options.h"
#include "config/key_options.h"
#include "device/compute_options.h"
#include "eval/evaluation.h"
#include "eval/task_score.h"
#include "rank_options.h"

using namespace mythos;

namespace {

struct Options {
  std::string checkpoint, loops, split = "val", packing, tasks;
  ComputeOptions compute;
  RankOptions ranks;
  DecodeOptions decode_options;
  EvalOptions eval;
  LoadFor load_for = LoadFor::computing;
  bool decode = false, as_json = false;
};

// Completes what is measured by what the checkpoint's own [decode] says.
void take_decode(const Options& options, const DecodeConfig& of_checkpoint, EvalOptions& eval) {
  DecodeConfig decode = options.decode_options.resolve(of_checkpoint);
  if (options.decode_options.given("exit_threshold") && !decode.has_threshold()) {
    fail(ErrorKind::usage,
         "--exit-threshold belongs to an --exit that has a threshold, such as latent and kl");
  }
  if (options.decode_options.given("exit_quantile") && decode.exit != ExitRule::gate) {
    fail(ErrorKind::usage, "--exit-quantile belongs to --exit gate");
  }
  if (decode.has_threshold()) decode.exit_threshold = decode.threshold();
  eval.compute_type = decode.compute_type;
  if (options.decode || options.decode_options.any_given()) eval.decode = decode;
}

// After printing, so that what was finite can be read.
void require_finite(const EvalReport& report, const NonFinite& weights) {
  const std::string rows = report.nonfinite_rows();
  if (rows.empty()) return;
  fail(ErrorKind::check_failed,
       report.checkpoint + ": the likelihood is not a finite number at " + rows + ".",
       weights.cause());
}

// Scores tasks. Answers are computed in one pass, without a cache.
TaskReport measure_tasks(const Options& options, const LoadedCheckpoint& loaded, at::Device device) {
  for (const char* key :
       {"weights", "cache_type", "cache_sharing", "cache_modulo", "cache_basis", "warm_start"}) {
    if (options.decode_options.given(key)) {
      fail(ErrorKind::usage,
           std::string("--tasks has plain weights and no cache; leave out decode.") + key);
    }
  }
  EvalOptions eval = options.eval;
  take_decode(options, loaded.config.decode, eval);
  TaskScoreOptions score;
  score.tasks = options.tasks;
  score.loops = eval.loops;
  score.batch_size = eval.batch_size;
  score.compute_type = eval.compute_type;
  score.experts = eval.experts;
  if (eval.decode) {
    score.exit = {eval.decode->exit, eval.decode->threshold()};
    score.state = {eval.decode->state_seed, eval.decode->state_scale};
  }
  return score_tasks(loaded, device, score);
}

// Mistakes that are told before processes start and the checkpoint is read.
void validate(const Options& options) {
  if (options.tasks.empty() == options.eval.data.empty()) {
    fail(ErrorKind::usage, "give one of --data DIR and --tasks FILE");
  }
  options.decode_options.resolve({});
  options.ranks.require_expert_ranks();
  const bool many = options.ranks.nproc > 1 || rank_place().size > 1;
  if (!options.tasks.empty() && many && options.ranks.expert_ranks == 1) {
    fail(ErrorKind::usage, "--tasks: processes score them together where they divide experts",
         "Leave --nproc and launchers out, or give --expert-ranks");
  }
}

int run(Options& options) {
  if (!options.loops.empty()) options.eval.loops = parse_int_list(options.loops, "--loops");
  if (options.split == "train") options.eval.split = ShardDirectory::Split::train;
  if (!options.packing.empty()) {
    options.eval.packing = options.packing == "best-fit" ? Packing::best_fit : Packing::contiguous;
  }
  const RankPlace place = rank_place();
  Ranks* const ranks = options.ranks.join(place, options.compute.device);
  if (options.ranks.expert_ranks == 1) options.eval.ranks = ranks;
  const at::Device device = options.compute.select();
  std::optional<LoadedCheckpoint> loaded;
  EvalReport report;
  TaskReport task_report;
  run_together([&] {
    loaded.emplace(load_checkpoint(options.checkpoint, device, options.load_for,
                                   options.ranks.division(ranks)));
    const auto experts = options.ranks.divide(*loaded, ranks);
    options.eval.experts = experts.get();
    if (!options.tasks.empty()) {
      task_report = measure_tasks(options, *loaded, device);
      return;
    }
    take_decode(options, loaded->config.decode, options.eval);
    report = evaluate_checkpoint(*loaded, device, options.eval);
  });
  if (place.rank != 0) return 0;  // the first has the result
  if (!options.tasks.empty()) {
    options.as_json ? print_json(to_json(task_report)) : print_lines(task_table(task_report));
    return 0;
  }
  if (options.as_json) {
    print_json(to_json(report));
  } else {
    log_info(eval_heading(report));
    print_lines(eval_table(report));
  }
  require_finite(report, loaded->nonfinite);
  return 0;
}

void declare(CLI::App& app, Options& o) {
  const auto count = CLI::Range(int64_t{1}, int64_t{1} << 50);
  add_checkpoint_options(app, o.checkpoint, o.load_for);
  app.add_option("--data", o.eval.data, "Shard directory made with the model's tokenizer")
      ->type_name("DIR");
  CLI::Option* tasks =
      app.add_option("--tasks", o.tasks,
                     "Score tasks by exact match instead: JSON lines with prompt, completion and "
                     "difficulty, as 'mythos synth' writes them")
          ->type_name("FILE");
  app.add_option("--loops", o.loops,
                 "Loop counts, more than trained allowed; default: 1,2,4,… max_loop_iters")
      ->type_name("N,N,...");
  app.add_option("--split", o.split, "val or train; default: val")
      ->type_name("SPLIT")
      ->check(CLI::IsMember({"val", "train"}));
  app.add_option("--max-tokens", o.eval.max_tokens, "Tokens to predict; default: the whole split")
      ->type_name("N")
      ->check(count);
  app.add_option("--seq-len", o.eval.seq_len, "Tokens of a window; default: that of training")
      ->type_name("N")
      ->check(count);
  app.add_option("--stride", o.eval.stride,
                 "Measure with overlapping windows as well, one every N tokens, at most --seq-len: "
                 "each token is predicted once, from more of what came before it")
      ->type_name("N")
      ->check(count);
  app.add_option("--packing", o.packing,
                 "contiguous: windows cut the split's stream anywhere; best-fit: documents stand "
                 "apart; default: as in training")
      ->type_name("WAY")
      ->check(CLI::IsMember({"contiguous", "best-fit"}));
  app.add_option("--batch-size", o.eval.batch_size,
                 "Windows of a batch; default: 8192 tokens' worth, with --decode 32")
      ->type_name("N")
      ->check(count);
  o.compute.declare(app);
  o.ranks.declare(app, "Measure");
  o.ranks.declare_expert_ranks(app);
  app.add_flag("--decode", o.decode,
               "Compute token by token as 'generate' does; the options of [decode] but --dtype "
               "imply it");
  o.decode_options.declare(
      app, {"dtype", "weights", "cache_type", "cache_sharing", "cache_modulo", "cache_basis",
            "exit", "exit_threshold", "exit_quantile", "warm_start", "state_seed", "state_scale"});
  app.add_flag("--baseline", o.eval.baseline, "Add the unigram distribution of the training split");
  app.add_flag("--untrained", o.eval.untrained, "Add the same configuration with fresh weights");
  for (const char* name : {"--split", "--max-tokens", "--seq-len", "--stride", "--packing",
                           "--decode", "--baseline", "--untrained"}) {
    tasks->excludes(app.get_option(name));
  }
  app.get_option("--untrained")->excludes("--expert-ranks");
  app.add_flag("--json", o.as_json,
               "Print one JSON object (mythos.eval/1; with --tasks mythos.eval-tasks/1)");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  const int status = run_command(
      argc, argv,
      {"mythos-eval", "Measure how well a model predicts a split, at several loop counts.",
       R"(mythos eval --checkpoint runs/nano --data shards
          mythos eval --checkpoint runs/nano --data shards --loops 1,2,4,8,16,32 --baseline
          mythos eval --checkpoint runs/nano --data shards --untrained --json
          mythos eval --checkpoint runs/nano --data shards --split train --nproc 2
          mythos eval --checkpoint runs/moe --data shards --nproc 4 --expert-ranks 4
          mythos eval --checkpoint runs/nano --data shards --weights int4 --cache-type int8
          mythos eval --checkpoint runs/answers --data shards --packing contiguous
          mythos eval --checkpoint runs/hops --tasks test.jsonl --loops 1,2,4,8)",
       [&](CLI::App& app) { declare(app, options); },
       [&] {
         validate(options);
         return options.ranks.start(argv, [&] { return run(options); });
       },
       "A smaller --batch-size or --seq-len needs less."});
  return end_of_ranks(status);
}
