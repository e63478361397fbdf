#pragma once
#include <functional>
#include <string>

#include "base/cli.h"
#include "base/stop.h"
#include "data/exchange/interchange.h"
#include "data/shards/shards.h"

// The subcommands of mythos-shards, each in a file of its name, and the options that several share.
namespace mythos {

struct Subcommand {
  using Job = std::function<int()>;

  const char* name;
  const char* summary;
  const char* example;  // a line of shell
  // Declares the options in the subcommand's own parser; the job, called once they are parsed,
  // returns the exit status.
  Job (*declare)(CLI::App& command);
};

extern const Subcommand kInfo, kVerify, kCat, kHead, kMerge, kSplit, kImport, kExport;

// DIR: the shards that the subcommand reads.
void add_directory(CLI::App& command, std::string& directory);
void add_json(CLI::App& command, bool& json);
void add_force(CLI::App& command, bool& force);

// --split. A word that is neither train nor val is refused by the parser.
void add_split(CLI::App& command, ShardDirectory::Split& split);

// --format, --boundary and --boundary-token.
void add_format(CLI::App& command, TokenFormat& format, LlmcBoundary& boundary);
// Fails (usage) where the format is Megatron's and one of these options, which are for llm.c's, was
// given.
void require_llmc_for(const CLI::App& command, TokenFormat format,
                      std::initializer_list<const char*> options);

// Runs a job that writes: a signal stops its token and ends it with a warning, nothing written, and
// the status of the signal.
int run_until_stopped(const std::function<int(const StopToken&)>& job);

}  // namespace mythos
