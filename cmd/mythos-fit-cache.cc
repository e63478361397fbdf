#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/output_path.h"
#include "base/print.h"
#include "base/strings.h"
#include "checkpoint/cache_basis.h"
#include "checkpoint_options.h"
#include "device/compute_options.h"
#include "eval/cache_fit.h"

using namespace mythos;

namespace {

struct Options {
  std::string checkpoint, output, split = "train";
  ComputeOptions compute;
  CacheFitOptions fit;
  LoadFor load_for = LoadFor::computing;
  bool as_json = false;
};

void print_result(const Options& options, const LoadedCheckpoint& loaded, const CacheFit& fit) {
  const auto& [basis, kept] = fit.result;
  const bool pair = basis.layers.front()[1].defined();
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  std::string table = pair ? "core layer      keys    values\n" : "core layer   latents\n";
  for (size_t i = 0; i < kept.size(); ++i) {
    table += strprintf("%-10d %8.2f%%", i, 100 * kept[i][0]);
    if (pair) table += strprintf(" %8.2f%%", 100 * kept[i][1]);
    table += "\n";
    layers.push_back({{"keys", kept[i][0]}});
    if (pair) layers.back()["values"] = kept[i][1];
  }
  if (!options.as_json) {
    print_lines(table + strprintf("wrote %s: rank %d of %d, %d numbers a token in the core instead "
                                  "of %d\n",
                                  shown(options.output), basis.rank, fit.full_rank, fit.numbers,
                                  fit.all_numbers));
    return;
  }
  print_json(nlohmann::ordered_json{{"schema", "mythos.fit-cache/1"},
                                    {"checkpoint", loaded.path.string()},
                                    {"data", options.fit.data},
                                    {"split", options.split},
                                    {"tokens", fit.tokens},
                                    {"loops", basis.loops},
                                    {"rank", basis.rank},
                                    {"full_rank", fit.full_rank},
                                    {"numbers_per_token", fit.numbers},
                                    {"per_loop_numbers_per_token", fit.all_numbers},
                                    {"energy_kept", layers},
                                    {"output", options.output}});
}

int run(Options& options) {
  if (options.split == "val") options.fit.split = ShardDirectory::Split::val;
  check_output(options.output, OutputKind::file);
  const at::Device device = options.compute.select();
  const LoadedCheckpoint loaded = load_checkpoint(options.checkpoint, device, options.load_for);
  const CacheFit fit = fit_cache(loaded, device, options.fit);
  save_cache_basis(options.output, fit.result.basis);
  print_result(options, loaded, fit);
  return 0;
}

void declare(CLI::App& app, Options& o) {
  const auto count = CLI::Range(int64_t{1}, int64_t{1} << 50);
  add_checkpoint_options(app, o.checkpoint, o.load_for);
  app.add_option("--data", o.fit.data, "Shard directory made with the model's tokenizer")
      ->type_name("DIR")
      ->required();
  app.add_option("--rank", o.fit.rank,
                 "Numbers that the cache keeps of a token for each key head, and for its values, "
                 "instead of one key and value for each loop")
      ->type_name("N")
      ->check(count)
      ->required();
  app.add_option("--output", o.output, "File to write")->type_name("FILE")->required();
  app.add_option("--loops", o.fit.loops,
                 "Most loops that decoding will run; default: model.max_loop_iters")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  app.add_option("--split", o.split, "train or val; default: train")
      ->type_name("SPLIT")
      ->check(CLI::IsMember({"val", "train"}));
  app.add_option("--max-tokens", o.fit.max_tokens, "Tokens to read; default: 65536")
      ->type_name("N")
      ->check(count);
  app.add_option("--seq-len", o.fit.seq_len, "Tokens of a window; default: that of training")
      ->type_name("N")
      ->check(count);
  app.add_option("--batch-size", o.fit.batch_size, "Windows of a pass; default: 8192 tokens' worth")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  o.compute.declare(app);
  app.add_flag("--json", o.as_json, "Print one JSON object (mythos.fit-cache/1)");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return run_command(
      argc, argv,
      {"mythos-fit-cache",
       "Fit a low-rank cache across loops: a basis in which few numbers of a token stand for its "
       "keys and values of all loops.",
       R"(mythos fit-cache --checkpoint runs/nano --data shards --rank 64 --output nano.basis
          mythos eval --checkpoint runs/nano --data shards --cache-sharing low-rank --cache-basis nano.basis
          mythos generate --checkpoint runs/nano --cache-sharing low-rank --cache-basis nano.basis)",
       [&](CLI::App& app) { declare(app, options); }, [&] { return run(options); },
       "A smaller --batch-size needs less; so do fewer --loops, whose square the sums take."});
}
