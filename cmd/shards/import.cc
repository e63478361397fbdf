#include "base/error.h"
#include "base/log.h"
#include "data/shards/shard_report.h"
#include "subcommand.h"
#include "text/tokenizer_options.h"

namespace mythos {
namespace {

struct ImportCommand {
  std::string directory;
  std::vector<std::string> train_files, val_files;
  TokenizerChoice tokenizer;
  ImportOptions imported;
};

int import_files(ImportCommand& options, const CLI::App& command) {
  if (options.train_files.empty() && options.val_files.empty()) {
    fail(ErrorKind::usage, "nothing to import: name a FILE, or one for validation with --val");
  }
  require_llmc_for(command, options.imported.format,
                   {"--boundary", "--boundary-token", "--bos", "--no-eos"});
  options.imported.train.assign(options.train_files.begin(), options.train_files.end());
  options.imported.val.assign(options.val_files.begin(), options.val_files.end());
  log_info(shards_summary(
      options.directory,
      import_shards(options.directory, *load_tokenizer(options.tokenizer), options.imported)));
  return 0;
}

Subcommand::Job declare_import(CLI::App& command) {
  const auto options = std::make_shared<ImportCommand>();
  ImportOptions& imported = options->imported;
  command.add_option("DIR", options->directory, "Directory of shards to make")->required();
  command.add_option("FILE", options->train_files, "Token files for training, in order");
  command.add_option("--val", options->val_files, "Token files for validation")->type_name("FILE");
  add_tokenizer_options(command, options->tokenizer)->required();
  add_format(command, imported.format, imported.boundary);
  command.add_flag("--bos", imported.bos, "Begin each document with BOS");
  command.add_flag_callback(
      "--no-eos", [&imported] { imported.eos = false; }, "Do not end each document with EOS");
  add_force(command, imported.replace);
  return [options, &command] {
    return run_until_stopped([&](const StopToken& stop) {
      options->imported.stop = stop;
      return import_files(*options, command);
    });
  };
}

}  // namespace

const Subcommand kImport = {
    "import", "Make shards of another program's token files",
    "mythos shards import shards --format megatron --tokenizer tok.model text_document",
    declare_import};

}  // namespace mythos
