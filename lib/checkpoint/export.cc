#include "checkpoint/export.h"

#include <cmath>

#include "base/error.h"
#include "base/output_path.h"
#include "base/strings.h"
#include "checkpoint/gguf_model.h"
#include "text/export_tokenizer.h"

namespace mythos {
namespace {

// The largest difference of logits in fp32 between a model and the form in which it is stored.
constexpr double kFormParity = 1e-3;
constexpr const char* kGgufFile = "model.gguf";

bool is_export(const fs::path& directory) {
  std::error_code status;
  for (const auto& entry : fs::directory_iterator(directory, status)) {
    const std::string name = entry.path().filename().string();
    if (name != "model.safetensors" && name != "config.json" && name != "config.toml" &&
        name != kGgufFile && !is_tokenizer_export(name) && !is_model_file(name)) {
      return false;
    }
  }
  return !status;
}

Parity require_equal_logits(const Model& original, const Model& read, double allowed) {
  const Parity parity = compare_logits(original, read);
  if (parity.largest_difference <= allowed) return parity;
  if (!std::isfinite(parity.largest_difference)) {
    fail(ErrorKind::check_failed,
         "the model's logits are not finite, so they cannot be compared; nothing was written.",
         find_nonfinite(named_tensors(original.parameters)).cause());
  }
  fail(ErrorKind::check_failed,
       strprintf("parity lost: the written model's logits differ by up to %g (%g expected).",
                 parity.largest_difference, allowed),
       "Nothing was written. Check the checkpoint's weights with 'mythos stability-check'.");
}

// A form of another order of sums differs by the rounding of those.
double allowed_difference(const ModelConfig& config, ExchangeFormat format) {
  return changes_form(config, format) ? kFormParity : 0;
}

Parity require_parity(const Model& original, ExchangeFormat format, const fs::path& directory) {
  const ExchangedModel read =
      read_exchanged(format, directory / "model.safetensors", directory / "config.json");
  return require_equal_logits(original, *read.model, allowed_difference(original.config, format));
}

// bf16 has the range of fp32 but for its last half unit, fp16 a far smaller one.
void require_rounding(const NonFinite& before, const NonFinite& after, at::ScalarType dtype) {
  if (after.count() <= before.count()) return;
  const std::string type = dtype == at::kHalf ? "fp16" : "bf16";
  fail(ErrorKind::check_failed,
       "rounded to " + type + ", " + after.text() + "; nothing was written.",
       "Export with --dtype fp32.");
}

// A .gguf file of the model, read back.
ExportResult export_gguf(const LoadedCheckpoint& checkpoint, const ExportOptions& options,
                         const fs::path& directory) {
  const Model& original = *checkpoint.model;
  const Model stored =
      rounded(gguf_form(checkpoint.config, original), options.dtype, ExchangeFormat::gguf);
  require_rounding(checkpoint.nonfinite, find_nonfinite(named_tensors(stored.parameters)),
                   options.dtype);
  write_gguf_model(directory / kGgufFile, checkpoint, stored, options.dtype);
  ExportResult result;
  result.files = {kGgufFile};
  const bool plain = options.dtype == at::kFloat;
  result.parity = require_equal_logits(
      plain ? original : stored, *read_gguf_model(directory / kGgufFile, stored.config),
      plain ? allowed_difference(original.config, ExchangeFormat::gguf) : 0);
  if (!plain) result.rounding = compare_logits(original, stored).largest_difference;
  return result;
}

}  // namespace

void check_export_output(const ExportOptions& options) {
  const std::string output = options.output.string();
  check_output(output, OutputKind::directory);
  std::error_code status;
  if (!fs::exists(options.output, status)) return;
  if (!options.replace) {
    fail(ErrorKind::usage, output + " exists; --force replaces an earlier export.");
  }
  if (!is_export(options.output)) {
    fail(ErrorKind::usage,
         output + " is not a directory with the files of an export alone; it is left as it is.");
  }
}

ExportResult export_model(const LoadedCheckpoint& checkpoint, const ExportOptions& options) {
  AtomicDirectory directory(options.output);
  const Model& original = *checkpoint.model;
  ExportResult result;
  if (options.format == ExchangeFormat::gguf) {
    result = export_gguf(checkpoint, options, directory.path());
    directory.commit();
    return result;
  }
  result.files = write_exchanged(options.format, directory.path(), checkpoint, options.dtype);
  if (options.dtype == at::kFloat) {
    result.parity = require_parity(original, options.format, directory.path());
  } else {
    if (changes_form(original.config, options.format)) {
      fail(ErrorKind::usage,
           "--dtype bf16 --format hf: the family has this model in another form, "
           "which rounding would change.",
           "Export with --dtype fp32.");
    }
    const Model stored = rounded(original, options.dtype, options.format);
    require_rounding(checkpoint.nonfinite, find_nonfinite(named_tensors(stored.parameters)),
                     options.dtype);
    result.parity = require_parity(stored, options.format, directory.path());
    result.rounding = compare_logits(original, stored).largest_difference;
  }
  directory.commit();
  return result;
}

}  // namespace mythos
