#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/print.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/listing.h"

using namespace mythos;

namespace {

struct Options {
  std::string path;
  bool json = false;
};

std::string number(const nlohmann::json& value, Format<FormatKind::real> format) {
  return value.is_number() ? strprintf(format, value.get<double>()) : "-";
}

int list(const Options& options) {
  const std::vector<CheckpointSummary> found = list_checkpoints(options.path);
  if (options.json) {
    nlohmann::ordered_json out = {{"schema", "mythos.checkpoint-list/1"},
                                  {"checkpoints", nlohmann::ordered_json::array()}};
    for (const CheckpointSummary& checkpoint : found) {
      out["checkpoints"].push_back({{"path", checkpoint.directory.string()},
                                    {"step", checkpoint.step},
                                    {"tokens", checkpoint.tokens},
                                    {"val_loss", checkpoint.val_loss},
                                    {"val_bpb", checkpoint.val_bpb},
                                    {"best", checkpoint.best},
                                    {"bytes", checkpoint.bytes}});
    }
    print_json(out);
    return 0;
  }
  std::printf("%-14s %14s %10s %10s %12s\n", "checkpoint", "tokens", "val loss", "val bpb",
              "stored");
  for (const CheckpointSummary& checkpoint : found) {
    std::printf(
        "%-14s %14s %10s %10s %12s%s\n", shown(checkpoint.directory.filename().string()).c_str(),
        number(checkpoint.tokens, "%.0f").c_str(), number(checkpoint.val_loss, "%.4f").c_str(),
        number(checkpoint.val_bpb, "%.4f").c_str(),
        human_bytes(static_cast<double>(checkpoint.bytes)).c_str(),
        checkpoint.best ? "  best" : "");
  }
  return 0;
}

int verify(const Options& options) {
  nlohmann::ordered_json out = {{"schema", "mythos.checkpoint-verify/1"},
                                {"ok", true},
                                {"checkpoints", nlohmann::ordered_json::array()}};
  for (const fs::path& directory : require_checkpoints(options.path)) {
    const std::vector<std::string> faults = verify_checkpoint(directory);
    if (!faults.empty()) out["ok"] = false;
    out["checkpoints"].push_back(
        {{"path", directory.string()}, {"ok", faults.empty()}, {"faults", faults}});
    if (options.json) continue;
    for (const std::string& fault : faults) print_lines(fault + "\n");
    if (faults.empty()) print_lines(shown(directory.string()) + ": ok\n");
  }
  if (options.json) print_json(out);
  return out["ok"] ? 0 : static_cast<int>(ErrorKind::check_failed);
}

void declare(CLI::App& app, Options& options) {
  app.require_subcommand(1);
  const auto add = [&](const char* name, const char* summary) {
    CLI::App* command = app.add_subcommand(name, summary);
    command->add_option("RUN", options.path, "Run directory, or one of its step directories")
        ->required();
    command->add_flag("--json", options.json, "Print one JSON object");
  };
  add("list", "Steps, tokens, validation and size of each checkpoint");
  add("verify",
      "Read everything and compare every checksum; exit status 1 and a line for each fault");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App* root = nullptr;
  return run_command(
      argc, argv,
      {"mythos-checkpoint", "List and verify the checkpoints of a run.",
       R"(mythos checkpoint list runs/nano
                         mythos checkpoint verify runs/nano && echo intact
                         mythos checkpoint verify runs/nano/step-000200 --json)",
       [&](CLI::App& app) {
         root = &app;
         declare(app, options);
       },
       [&] { return root->got_subcommand("list") ? list(options) : verify(options); }});
}
