#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/print.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/listing.h"
#include "checkpoint/published.h"
#include "device/compute_options.h"

using namespace mythos;

namespace {

struct Options {
  std::string path;
  bool json = false;
};

std::string number(const nlohmann::json& value, Format<FormatKind::real> format) {
  return value.is_number() ? strprintf(format, value.get<double>()) : "-";
}

int list_published(const Options& options, const nlohmann::json& config) {
  const PublishedSummary found = summarise_published(options.path, config);
  if (options.json) {
    const nlohmann::ordered_json out = {{"schema", "mythos.checkpoint-list/1"},
                                        {"checkpoints", nlohmann::ordered_json::array()},
                                        {"published",
                                         {{"path", options.path},
                                          {"family", found.family},
                                          {"loops", found.loops},
                                          {"parameters", found.parameters},
                                          {"files", found.files},
                                          {"bytes", found.bytes},
                                          {"tensors", found.tensors},
                                          {"types", found.types},
                                          {"left_out", found.left_out},
                                          {"tokenizer", found.tokenizer}}}};
    print_json(out);
    return 0;
  }
  const auto print = [](const char* label, const std::string& text) {
    print_lines(strprintf("%-10s %s\n", label, shown(text)));
  };
  print("family", strprintf("%s, %d loops, %s parameters", found.family, found.loops,
                            with_commas(found.parameters)));
  print("weights",
        strprintf("%s in %u file%s, %d tensors", human_bytes(static_cast<double>(found.bytes)),
                  found.files.size(), found.files.size() == 1 ? "" : "s", found.tensors));
  std::vector<std::string> types;
  for (const auto& [name, numbers] : found.types) {
    types.push_back(with_commas(numbers) + " " + name);
  }
  print("numbers", join(types, ", "));
  print("tokenizer", found.tokenizer.empty() ? "none" : found.tokenizer);
  for (const std::string& line : found.left_out) print("left out", line);
  return 0;
}

int list(const Options& options) {
  if (const auto config = published_config(options.path)) return list_published(options, *config);
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

// A line of a published model without faults: what could be compared.
std::string checked_text(const DownloadCheck& check) {
  if (check.compared.empty()) return "ok, no checksums known";
  return strprintf("ok, SHA-256 of %u file%s as downloaded", check.compared.size(),
                   check.compared.size() == 1 ? "" : "s");
}

int verify(const Options& options) {
  ComputeOptions().set_threads();
  nlohmann::ordered_json out = {{"schema", "mythos.checkpoint-verify/1"},
                                {"ok", true},
                                {"checkpoints", nlohmann::ordered_json::array()}};
  const auto add = [&](const fs::path& directory, const std::vector<std::string>& faults,
                       const std::string& whole) {
    if (!faults.empty()) out["ok"] = false;
    out["checkpoints"].push_back(
        {{"path", directory.string()}, {"ok", faults.empty()}, {"faults", faults}});
    if (options.json) return;
    for (const std::string& fault : faults) print_lines(fault + "\n");
    if (faults.empty()) print_lines(shown(directory.string()) + ": " + whole + "\n");
  };
  if (const auto config = published_config(options.path)) {
    const DownloadCheck check = verify_published(options.path, *config);
    add(options.path, check.faults, checked_text(check));
    out["checkpoints"].back()["compared"] = check.compared;
  } else {
    for (const fs::path& directory : require_checkpoints(options.path)) {
      add(directory, verify_checkpoint(directory), "ok");
    }
  }
  if (options.json) print_json(out);
  return out["ok"] ? 0 : static_cast<int>(ErrorKind::check_failed);
}

void declare(CLI::App& app, Options& options) {
  app.require_subcommand(1);
  const auto add = [&](const char* name, const char* summary) {
    CLI::App* command = app.add_subcommand(name, summary);
    command
        ->add_option("RUN", options.path,
                     "Run directory, one of its step directories, or a published model's")
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
                         mythos checkpoint verify runs/nano/step-000200 --json
                         mythos checkpoint list Ouro-1.4B)",
       [&](CLI::App& app) {
         root = &app;
         declare(app, options);
       },
       [&] { return root->got_subcommand("list") ? list(options) : verify(options); }});
}
