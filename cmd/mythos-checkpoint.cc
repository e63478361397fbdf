#include <cstdio>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/print.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"

using namespace mythos;

namespace {

struct Options {
  std::string path;
  bool json = false;
};

std::vector<fs::path> directories(const Options& options) {
  std::vector<fs::path> found = checkpoint_directories(options.path);
  if (found.empty()) {
    fail(ErrorKind::data, options.path + ": no checkpoint (a directory step-NNNNNN) is there");
  }
  return found;
}

uint64_t stored_bytes(const fs::path& directory) {
  uint64_t bytes = 0;
  std::error_code status;
  for (const auto& entry : fs::directory_iterator(directory, status))
    bytes += entry.file_size(status);
  return bytes;
}

// state.json of a checkpoint, or an empty object where it cannot be read.
nlohmann::json state_of(const fs::path& directory) {
  std::error_code status;
  if (!fs::exists(directory / "state.json", status)) return nlohmann::json::object();
  nlohmann::json state = nlohmann::json::parse(read_file(directory / "state.json"), nullptr, false);
  return state.is_object() ? state : nlohmann::json::object();
}

// The newest validation up to each checkpoint's step: a step is saved before it is validated, so
// the run's metrics know more than the checkpoint.
class Validations {
 public:
  explicit Validations(const fs::path& metrics) {
    std::error_code status;
    if (!fs::is_regular_file(metrics, status)) return;
    for (const std::string& text : split(read_file(metrics), '\n')) {
      const nlohmann::json line = nlohmann::json::parse(text, nullptr, false);
      if (!line.is_object() || !line.contains("val_loss") || !line.contains("step")) continue;
      if (line["step"].is_number_integer()) lines_[line["step"].get<int64_t>()] = line;
    }
  }
  void add_to(nlohmann::json& state) const {
    if (!state.contains("step") || !state["step"].is_number_integer()) return;
    const auto after = lines_.upper_bound(state["step"].get<int64_t>());
    if (after == lines_.begin()) return;
    for (const char* key : {"val_loss", "val_bpb"})
      state[key] = std::prev(after)->second.value(key, nlohmann::json());
  }

 private:
  std::map<int64_t, nlohmann::json> lines_;
};

std::string number(const nlohmann::json& state, const char* key, Format<FormatKind::real> format) {
  const auto found = state.find(key);
  return found != state.end() && found->is_number() ? strprintf(format, found->get<double>()) : "-";
}

int list(const Options& options) {
  nlohmann::ordered_json out = {{"schema", "mythos.checkpoint-list/1"},
                                {"checkpoints", nlohmann::ordered_json::array()}};
  if (!options.json) {
    std::printf("%-14s %14s %10s %10s %12s\n", "checkpoint", "tokens", "val loss", "val bpb",
                "stored");
  }
  const std::vector<fs::path> found = directories(options);
  const fs::path run = found[0].has_parent_path() ? found[0].parent_path() : fs::path(".");
  const Validations validations(run / "metrics.jsonl");
  std::error_code status;
  const fs::path best = fs::read_symlink(run / "best", status);
  for (const fs::path& directory : found) {
    nlohmann::json state = state_of(directory);
    validations.add_to(state);
    const bool is_best = directory.filename() == best;
    if (options.json) {
      out["checkpoints"].push_back({{"path", directory.string()},
                                    {"step", state.value("step", nlohmann::json())},
                                    {"tokens", state.value("tokens", nlohmann::json())},
                                    {"val_loss", state.value("val_loss", nlohmann::json())},
                                    {"val_bpb", state.value("val_bpb", nlohmann::json())},
                                    {"best", is_best},
                                    {"bytes", stored_bytes(directory)}});
      continue;
    }
    std::printf("%-14s %14s %10s %10s %12s%s\n", shown(directory.filename().string()).c_str(),
                number(state, "tokens", "%.0f").c_str(), number(state, "val_loss", "%.4f").c_str(),
                number(state, "val_bpb", "%.4f").c_str(),
                human_bytes(static_cast<double>(stored_bytes(directory))).c_str(),
                is_best ? "  best" : "");
  }
  if (options.json) print_json(out);
  return 0;
}

int verify(const Options& options) {
  nlohmann::ordered_json out = {{"schema", "mythos.checkpoint-verify/1"},
                                {"ok", true},
                                {"checkpoints", nlohmann::ordered_json::array()}};
  for (const fs::path& directory : directories(options)) {
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
