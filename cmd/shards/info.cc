#include <nlohmann/json.hpp>

#include "base/print.h"
#include "data/shards/manifest.h"
#include "data/shards/shard_report.h"
#include "subcommand.h"

namespace mythos {
namespace {

struct InfoOptions {
  std::string directory;
  bool json = false;
};

int info(const InfoOptions& options) {
  const ShardDirectory shards(options.directory);
  if (!options.json) {
    print_lines(shards_table(options.directory, shards.manifest()));
    return 0;
  }
  nlohmann::ordered_json out = {{"schema", "mythos.shards-info/1"},
                                {"directory", options.directory}};
  out.update(manifest_json(shards.manifest()));
  print_json(out);
  return 0;
}

Subcommand::Job declare_info(CLI::App& command) {
  const auto options = std::make_shared<InfoOptions>();
  add_directory(command, options->directory);
  add_json(command, options->json);
  return [options] { return info(*options); };
}

}  // namespace

const Subcommand kInfo = {"info", "What the directory holds", "mythos shards info shards",
                          declare_info};

}  // namespace mythos
