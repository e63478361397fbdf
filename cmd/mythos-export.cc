// Writes a checkpoint's model in a format that other programs read, and proves that it reads back.
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/log.h"
#include "base/output_path.h"
#include "base/print.h"
#include "base/strings.h"
#include "checkpoint/exchange.h"
#include "device/compute_options.h"
#include "text/export_tokenizer.h"

namespace mythos {
namespace {

struct Options {
  std::string checkpoint, format = "safetensors", output, dtype = "fp32";
  bool force = false, json = false;
};

at::ScalarType stored_type(const std::string& name) {
  if (name == "fp32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  fail(ErrorKind::usage, "--dtype " + escaped(name) + ": expected fp32 or bf16." +
                             did_you_mean(name, {"fp32", "bf16"}));
}

bool is_export(const fs::path& directory) {
  std::error_code status;
  for (const auto& entry : fs::directory_iterator(directory, status)) {
    const std::string name = entry.path().filename().string();
    if (name != "model.safetensors" && name != "config.json" && name != "config.toml" &&
        !is_tokenizer_export(name)) {
      return false;
    }
  }
  return !status;
}

// Only an earlier export is ever replaced, so that a mistyped path cannot cost a folder.
void check_output(const Options& options) {
  check_output(options.output, OutputKind::directory);
  std::error_code status;
  if (!fs::exists(options.output, status)) return;
  if (!options.force) {
    fail(ErrorKind::usage, options.output + " exists; --force replaces an earlier export.");
  }
  if (!is_export(options.output)) {
    fail(ErrorKind::usage,
         options.output +
             " is not a directory with the files of an export alone; it is left as it is.");
  }
}

// Reads what was written and compares. Fails (check_failed) when the logits are not the same, or
// not finite.
Parity require_parity(const Model& original, ExchangeFormat format, const fs::path& directory) {
  const ExchangedModel read =
      read_exchanged(format, directory / "model.safetensors", directory / "config.json");
  const Parity parity = compare_logits(original, *read.model);
  if (parity.largest_difference == 0) return parity;
  if (!std::isfinite(parity.largest_difference)) {
    fail(ErrorKind::check_failed,
         "the model's logits are not finite, so they cannot be compared; nothing was written.",
         find_nonfinite(named_tensors(original.parameters)).cause());
  }
  fail(ErrorKind::check_failed,
       strprintf("parity lost: the written model's logits differ by up to %g (0 expected).",
                 parity.largest_difference),
       "Nothing was written. Check the checkpoint's weights with 'mythos stability-check'.");
}

// bf16 has the range of fp32 but for its last half unit.
void require_rounding(const NonFinite& before, const NonFinite& after) {
  if (after.count() <= before.count()) return;
  fail(ErrorKind::check_failed, "rounded to bf16, " + after.text() + "; nothing was written.",
       "Export with --dtype fp32.");
}

void print_result(const Options& options, const std::vector<std::string>& files,
                  const Parity& parity, double rounding) {
  if (options.json) {
    const nlohmann::json out = {{"schema", "mythos.export/1"},
                                {"output", options.output},
                                {"format", options.format},
                                {"dtype", options.dtype},
                                {"files", files},
                                {"parity",
                                 {{"largest_logit_difference", parity.largest_difference},
                                  {"rounding_logit_difference", rounding},
                                  {"batch", parity.batch},
                                  {"seq_len", parity.seq_len},
                                  {"loops", parity.loops}}}};
    print_json(out);
    return;
  }
  print_lines("wrote " + shown(options.output) + ": " + shown(join(files, ", ")) + "\n");
  std::printf("parity: largest logit difference %g over %lld×%lld tokens, loops %lld\n",
              parity.largest_difference, static_cast<long long>(parity.batch),
              static_cast<long long>(parity.seq_len), static_cast<long long>(parity.loops));
  if (options.dtype != "fp32") {
    std::printf("rounding to %s changes logits by up to %g\n", options.dtype.c_str(), rounding);
  }
}

int run(const Options& options) {
  ComputeOptions().set_threads();
  const ExchangeFormat format = exchange_format(options.format);
  const at::ScalarType dtype = stored_type(options.dtype);
  check_output(options);
  const LoadedCheckpoint checkpoint = load_checkpoint(options.checkpoint, at::kCPU);
  log_info("read " + checkpoint.path.string());
  AtomicDirectory directory(options.output);
  const auto files = write_exchanged(format, directory.path(), checkpoint, dtype);
  const bool exact = dtype == at::kFloat;
  const Model& original = *checkpoint.model;
  Parity parity;
  double rounding = 0;
  if (exact) {
    parity = require_parity(original, format, directory.path());
  } else {
    const Model stored = rounded(original, dtype);
    require_rounding(checkpoint.nonfinite, find_nonfinite(named_tensors(stored.parameters)));
    parity = require_parity(stored, format, directory.path());
    rounding = compare_logits(original, stored).largest_difference;
  }
  directory.commit();
  print_result(options, files, parity, rounding);
  return 0;
}

}  // namespace
}  // namespace mythos

int main(int argc, char** argv) {
  mythos::Options options;
  mythos::Command command;
  command.name = "mythos-export";
  command.summary = "Write a checkpoint's model for other programs, and check that it reads back.";
  command.examples =
      "mythos export --checkpoint runs/nano --format safetensors --output exports/nano\n"
      "mythos export --checkpoint runs/nano/step-000200 --format openmythos --output exports/om\n"
      "mythos export --checkpoint runs/nano --output exports/nano --dtype bf16 --force";
  command.options = [&](CLI::App& app) {
    app.add_option("--checkpoint", options.checkpoint, "Run or step directory")->required();
    app.add_option("--format", options.format, "safetensors or openmythos")->capture_default_str();
    app.add_option("--output", options.output, "Directory to write")->required();
    app.add_option("--dtype", options.dtype, "Type of stored matrices: fp32 or bf16")
        ->capture_default_str();
    app.add_flag("--force", options.force, "Replace an earlier export");
    app.add_flag("--json", options.json, "Print the result as one JSON object");
  };
  command.run = [&] { return mythos::run(options); };
  command.memory_advice = "The model is held twice, as it is and as it reads back.";
  return mythos::run_command(argc, argv, command);
}
