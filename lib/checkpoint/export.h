#pragma once
#include <string>
#include <vector>

#include "checkpoint/exchange.h"

namespace mythos {

struct ExportOptions {
  fs::path output;  // a directory that is made
  ExchangeFormat format = ExchangeFormat::safetensors;
  at::ScalarType dtype = at::kFloat;  // of stored matrices, or bf16; gguf: or fp16
  bool replace = false;               // an earlier export may stand there
};

struct ExportResult {
  std::vector<std::string> files;
  Parity parity;        // of what was written, read back, with what was to be written
  double rounding = 0;  // the largest difference of logits that rounding to dtype makes
};

// Fails (usage) when `output` exists, unless it holds the files of an export alone and may be
// replaced: a mistyped path cannot cost a folder.
void check_export_output(const ExportOptions& options);

// Writes the model, reads it back and compares, and then lets the directory appear. Fails
// (check_failed), with nothing written, when logits differ or are not finite, or when rounding
// makes weights infinite.
ExportResult export_model(const LoadedCheckpoint& checkpoint, const ExportOptions& options);

}  // namespace mythos
