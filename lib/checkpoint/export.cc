#include "checkpoint/export.h"

#include <cmath>

#include "base/error.h"
#include "base/output_path.h"
#include "base/strings.h"
#include "text/export_tokenizer.h"

namespace mythos {
namespace {

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
  result.files = write_exchanged(options.format, directory.path(), checkpoint, options.dtype);
  if (options.dtype == at::kFloat) {
    result.parity = require_parity(original, options.format, directory.path());
  } else {
    const Model stored = rounded(original, options.dtype);
    require_rounding(checkpoint.nonfinite, find_nonfinite(named_tensors(stored.parameters)));
    result.parity = require_parity(stored, options.format, directory.path());
    result.rounding = compare_logits(original, stored).largest_difference;
  }
  directory.commit();
  return result;
}

}  // namespace mythos
