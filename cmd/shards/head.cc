#include <cstdio>

#include "data/shards/print_tokens.h"
#include "data/shards/stored_documents.h"
#include "subcommand.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

struct HeadOptions {
  std::string directory;
  ShardDirectory::Split split = ShardDirectory::Split::train;
  uint64_t documents = 10;
  bool ids = false;
};

int head(const HeadOptions& options) {
  const ShardDirectory shards(options.directory);
  print_documents(shards, *load_tokenizer_of(shards), options.split, options.documents, options.ids,
                  stdout);
  return 0;
}

Subcommand::Job declare_head(CLI::App& command) {
  const auto options = std::make_shared<HeadOptions>();
  add_directory(command, options->directory);
  add_split(command, options->split);
  command.add_option("-n,--documents", options->documents, "Number of documents (default 10)")
      ->type_name("N");
  command.add_flag("--ids", options->ids, "Print ids, BOS and EOS included, one document a line");
  return [options] { return head(*options); };
}

}  // namespace

const Subcommand kHead = {"head",
                          "Print the first documents, each behind a line that tells its size",
                          "mythos shards head shards -n 3", declare_head};

}  // namespace mythos
