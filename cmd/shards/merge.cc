#include "base/log.h"
#include "data/shards/reshard.h"
#include "data/shards/shard_report.h"
#include "data/shards/stored_documents.h"
#include "subcommand.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

struct MergeOptions {
  std::string output;
  std::vector<std::string> directories;
  bool force = false;
};

int merge(const MergeOptions& options, const StopToken& stop) {
  std::vector<ShardDirectory> inputs;
  for (const std::string& directory : options.directories) inputs.emplace_back(directory);
  const ShardManifest manifest =
      merge_shards(inputs, *load_tokenizer_of(inputs.front()), options.output, options.force, stop);
  log_info(shards_summary(options.output, manifest));
  return 0;
}

Subcommand::Job declare_merge(CLI::App& command) {
  const auto options = std::make_shared<MergeOptions>();
  command.add_option("OUT", options->output, "Directory to make")->required();
  command
      .add_option("DIR", options->directories, "Directories of shards of one tokenizer, in order")
      ->required();
  add_force(command, options->force);
  return [options] {
    return run_until_stopped([&](const StopToken& stop) { return merge(*options, stop); });
  };
}

}  // namespace

const Subcommand kMerge = {"merge", "Join directories into one, split by split",
                           "mythos shards merge all part-00000 part-00001", declare_merge};

}  // namespace mythos
