#include "subcommand.h"

#include "base/error.h"
#include "base/log.h"
#include "base/signals.h"
#include "data/shards/stored_documents.h"

namespace mythos {
namespace {

// An option that takes one of two words; `use` is told whether it was the second.
CLI::Option* add_choice(CLI::App& command, const char* name, const char* first, const char* second,
                        const char* help, std::function<void(bool)> use) {
  return command
      .add_option_function<std::string>(
          name, [second, use](const std::string& word) { use(word == second); }, help)
      ->check(CLI::IsMember({first, second}));
}

}  // namespace

void add_directory(CLI::App& command, std::string& directory) {
  command.add_option("DIR", directory, "Directory of shards")->required();
}

void add_json(CLI::App& command, bool& json) {
  command.add_flag("--json", json, "Print one JSON object");
}

void add_force(CLI::App& command, bool& force) {
  command.add_flag("--force", force, "Replace existing shards");
}

void add_split(CLI::App& command, ShardDirectory::Split& split) {
  using Split = ShardDirectory::Split;
  add_choice(command, "--split", "train", "val", "train or val (default train)",
             [&split](bool second) { split = second ? Split::val : Split::train; });
}

void add_format(CLI::App& command, TokenFormat& format, LlmcBoundary& boundary) {
  add_choice(
      command, "--format", "llmc", "megatron", "llmc (.bin) or megatron (.bin and .idx)",
      [&format](bool second) { format = second ? TokenFormat::megatron : TokenFormat::llmc; })
      ->required();
  add_choice(command, "--boundary", "begin", "end",
             "Where llm.c's documents have the boundary token: begin or end (default begin)",
             [&boundary](bool second) { boundary.at_end = second; });
  command
      .add_option("--boundary-token", boundary.token,
                  "Id of that token (default the tokenizer's EOS)")
      ->type_name("ID");
}

void require_llmc_for(const CLI::App& command, TokenFormat format,
                      std::initializer_list<const char*> options) {
  if (format == TokenFormat::llmc) return;
  for (const char* name : options) {
    if (command.count(name) == 0) continue;
    fail(ErrorKind::usage, std::string(name) +
                               " is for --format llmc: Megatron has an index, and its documents "
                               "are kept as they are");
  }
}

int run_until_stopped(const std::function<int(const StopToken&)>& job) {
  StopSignals signals;
  signals.watch();
  try {
    return job(signals.token());
  } catch (const Stopped&) {
    log_warning("stopped; nothing was written");
    exit_by_signal(signals.signal());
  }
}

}  // namespace mythos
