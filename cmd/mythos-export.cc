// Writes a checkpoint's model in a format that other programs read, and proves that it reads back.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/cli.h"
#include "base/error.h"
#include "base/log.h"
#include "base/print.h"
#include "base/strings.h"
#include "checkpoint/export.h"
#include "checkpoint_options.h"
#include "device/compute_options.h"

namespace mythos {
namespace {

struct Options {
  std::string checkpoint, format = "safetensors", output, dtype = "fp32";
  LoadFor load_for = LoadFor::computing;
  bool force = false, json = false;
};

at::ScalarType stored_type(const std::string& name, ExchangeFormat format) {
  if (name == "fp32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  if (name == "fp16") {
    if (format == ExchangeFormat::gguf) return at::kHalf;
    fail(ErrorKind::usage, "--dtype fp16 goes with --format gguf; expected fp32 or bf16.");
  }
  fail(ErrorKind::usage, "--dtype " + escaped(name) + ": expected fp32 or bf16." +
                             did_you_mean(name, {"fp32", "bf16"}));
}

void print_result(const Options& options, const ExportResult& result) {
  const Parity& parity = result.parity;
  if (options.json) {
    const nlohmann::json out = {{"schema", "mythos.export/1"},
                                {"output", options.output},
                                {"format", options.format},
                                {"dtype", options.dtype},
                                {"files", result.files},
                                {"parity",
                                 {{"largest_logit_difference", parity.largest_difference},
                                  {"rounding_logit_difference", result.rounding},
                                  {"batch", parity.batch},
                                  {"seq_len", parity.seq_len},
                                  {"loops", parity.loops}}}};
    print_json(out);
    return;
  }
  print_lines("wrote " + shown(options.output) + ": " + shown(join(result.files, ", ")) + "\n");
  std::printf("parity: largest logit difference %g over %lld×%lld tokens, loops %lld\n",
              parity.largest_difference, static_cast<long long>(parity.batch),
              static_cast<long long>(parity.seq_len), static_cast<long long>(parity.loops));
  if (options.dtype != "fp32") {
    std::printf("rounding to %s changes logits by up to %g\n", options.dtype.c_str(),
                result.rounding);
  }
}

int run(const Options& options) {
  ComputeOptions().set_threads();
  const ExchangeFormat format = exchange_format(options.format);
  const ExportOptions wanted{options.output, format, stored_type(options.dtype, format),
                             options.force};
  check_export_output(wanted);
  const LoadedCheckpoint checkpoint =
      load_checkpoint(options.checkpoint, at::kCPU, options.load_for);
  log_info("read " + checkpoint.path.string());
  print_result(options, export_model(checkpoint, wanted));
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
      "mythos export --checkpoint runs/nano --output exports/nano --dtype bf16 --force\n"
      "mythos export --checkpoint runs/ouro --format hf --dtype bf16 --output exports/ouro\n"
      "mythos export --checkpoint runs/qwen3 --format gguf --dtype bf16 --output exports/gguf";
  command.options = [&](CLI::App& app) {
    add_checkpoint_options(app, options.checkpoint, options.load_for);
    app.add_option("--format", options.format,
                   "safetensors, openmythos, hf or gguf; default: safetensors")
        ->type_name("FORMAT");
    app.add_option("--output", options.output, "Directory to write")->type_name("DIR")->required();
    app.add_option("--dtype", options.dtype,
                   "Type of stored matrices: fp32, bf16 or (gguf) fp16; default: fp32")
        ->type_name("TYPE");
    app.add_flag("--force", options.force, "Replace an earlier export");
    app.add_flag("--json", options.json, "Print the result as one JSON object");
  };
  command.run = [&] { return mythos::run(options); };
  command.memory_advice = "The model is held twice, as it is and as it reads back.";
  return mythos::run_command(argc, argv, command);
}
