#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/print.h"
#include "subcommand.h"

namespace mythos {
namespace {

struct VerifyOptions {
  std::string directory;
  bool json = false;
};

int verify(const VerifyOptions& options) {
  const std::vector<std::string> faults = verify_shards(options.directory);
  if (options.json) {
    const nlohmann::ordered_json out = {{"schema", "mythos.shards-verify/1"},
                                        {"directory", options.directory},
                                        {"ok", faults.empty()},
                                        {"faults", faults}};
    print_json(out);
  } else {
    for (const std::string& fault : faults) print_lines(fault + "\n");
    if (faults.empty()) std::puts("ok");
  }
  return faults.empty() ? 0 : static_cast<int>(ErrorKind::check_failed);
}

Subcommand::Job declare_verify(CLI::App& command) {
  const auto options = std::make_shared<VerifyOptions>();
  add_directory(command, options->directory);
  add_json(command, options->json);
  return [options] { return verify(*options); };
}

}  // namespace

const Subcommand kVerify = {
    "verify", "Read everything and compare every checksum; exit status 1 and a line for each fault",
    "mythos shards verify shards && echo intact", declare_verify};

}  // namespace mythos
