#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "data/shards/reshard.h"
#include "data/shards/shard_report.h"
#include "data/shards/stored_documents.h"
#include "subcommand.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

struct SplitOptions {
  std::string directory, output;
  uint32_t parts = 0;
  std::optional<double> val_fraction;
  bool force = false;
};

int split(const SplitOptions& options, const StopToken& stop) {
  if ((options.parts > 0) == options.val_fraction.has_value()) {
    fail(ErrorKind::usage, "how to split? Give either --parts N or --val-fraction F.");
  }
  const ShardDirectory shards(options.directory);
  const auto tokenizer = load_tokenizer_of(shards);
  if (options.val_fraction) {
    const ShardManifest manifest =
        split_again(shards, *tokenizer, options.output, *options.val_fraction, options.force, stop);
    log_info(shards_summary(options.output, manifest));
    return 0;
  }
  const auto parts =
      split_into_parts(shards, *tokenizer, options.output, options.parts, options.force, stop);
  for (size_t part = 0; part < parts.size(); ++part)
    log_info(shards_summary(part_name(options.output, part), parts[part]));
  return 0;
}

Subcommand::Job declare_split(CLI::App& command) {
  const auto options = std::make_shared<SplitOptions>();
  add_directory(command, options->directory);
  command
      .add_option("OUT", options->output, "Directory to make; with --parts, OUT-00000 and so on")
      ->required();
  CLI::Option* parts =
      command
          .add_option("--parts", options->parts,
                      "Number of parts with nearly equal numbers of tokens, documents whole")
          ->check(CLI::Range(2, 256))
          ->type_name("N");
  command
      .add_option("--val-fraction", options->val_fraction,
                  "Share of the documents for validation, chosen by hash as tokenize does")
      ->check(CLI::Range(0.0, 0.999))
      ->excludes(parts)
      ->type_name("F");
  add_force(command, options->force);
  return [options] {
    return run_until_stopped([&](const StopToken& stop) { return split(*options, stop); });
  };
}

}  // namespace

const Subcommand kSplit = {"split", "Cut into parts, or part into training and validation anew",
                           "mythos shards split shards part --parts 4", declare_split};

}  // namespace mythos
