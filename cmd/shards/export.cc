#include "base/log.h"
#include "base/strings.h"
#include "data/shards/stored_documents.h"
#include "subcommand.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

struct ExportCommand {
  std::string directory, output;
  ExportOptions exported;
};

int export_files(const ExportCommand& options, const CLI::App& command) {
  require_llmc_for(command, options.exported.format,
                   {"--boundary", "--boundary-token", "--tokens-per-file"});
  const ShardDirectory shards(options.directory);
  const ExportSummary summary =
      export_shards(shards, *load_tokenizer_of(shards), options.output, options.exported);
  if (summary.ambiguous_documents > 0) {
    log_warning(
        strprintf("%s documents have the boundary token inside: whoever reads the files "
                  "takes each for several",
                  with_commas(summary.ambiguous_documents)));
  }
  if (summary.left_out_masks) {
    log_warning(
        "the masks are left out, as these files have no place for them: whoever reads them "
        "takes every token for a target");
  }
  log_info(strprintf("%s: %s tokens in %s", options.output, with_commas(summary.tokens),
                     join(summary.files, ", ")));
  return 0;
}

Subcommand::Job declare_export(CLI::App& command) {
  const auto options = std::make_shared<ExportCommand>();
  ExportOptions& exported = options->exported;
  add_directory(command, options->directory);
  command.add_option("OUT", options->output, "Directory to make")->required();
  add_format(command, exported.format, exported.boundary);
  command
      .add_option("--dtype", exported.dtype,
                  "u16 or u32 for llm.c, u16 or i32 for Megatron (default by the vocabulary)")
      ->check(CLI::IsMember({"u16", "u32", "i32"}));
  command
      .add_option("--tokens-per-file", exported.tokens_per_file,
                  "A file of llm.c ends with the document that reaches it (default 100000000)")
      ->check(CLI::Range(uint64_t{1}, uint64_t{INT32_MAX}))
      ->type_name("N");
  return [options, &command] {
    return run_until_stopped([&](const StopToken& stop) {
      options->exported.stop = stop;
      return export_files(*options, command);
    });
  };
}

}  // namespace

const Subcommand kExport = {"export", "Write token files for another program",
                            "mythos shards export shards out --format llmc", declare_export};

}  // namespace mythos
