#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/strings.h"
#include "data/read/readers.h"
#include "data/shards/print_tokens.h"
#include "data/shards/stored_documents.h"
#include "subcommand.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

struct CatOptions {
  std::string directory, separator;
  ShardDirectory::Split split = ShardDirectory::Split::train;
  uint64_t from = 0, count = ~uint64_t{0};
  bool ids = false, mask = false;
};

int cat(const CatOptions& options) {
  const ShardDirectory shards(options.directory);
  const uint64_t total = shards.tokens(options.split);
  if (options.from > total) {
    fail(ErrorKind::usage, strprintf("--from %u: the %s split has %u tokens", options.from,
                                     split_name(options.split), total));
  }
  const uint64_t end = options.from + std::min(options.count, total - options.from);
  print_tokens(
      shards, *load_tokenizer_of(shards), options.split, options.from, end,
      {options.ids || options.mask, options.mask, unescape(options.separator, "--separator")},
      stdout);
  return 0;
}

Subcommand::Job declare_cat(CLI::App& command) {
  const auto options = std::make_shared<CatOptions>();
  add_directory(command, options->directory);
  add_split(command, options->split);
  command.add_option("--from", options->from, "First token, from 0")->type_name("N");
  command.add_option("--count", options->count, "Number of tokens (default all)")->type_name("N");
  CLI::Option* separator = command
                               .add_option("--separator", options->separator,
                                           "Print this between documents, such as '\\n'")
                               ->type_name("S");
  CLI::Option* ids = command.add_flag("--ids", options->ids, "Print ids, BOS and EOS included")
                         ->excludes(separator);
  command
      .add_flag("--mask", options->mask,
                "Print 1 for each token that counts as a target and 0 for each other")
      ->excludes(separator)
      ->excludes(ids);
  return [options] { return cat(*options); };
}

}  // namespace

const Subcommand kCat = {"cat", "Print tokens as text, or as ids with one document a line",
                         "mythos shards cat shards --ids | head -1", declare_cat};

}  // namespace mythos
