#pragma once
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

// Models on their way to and from other programs: mythos-export(1) and mythos-import(1).
namespace mythos {

// safetensors: the native tensors (arch/tensors.h) with config.json and config.toml.
// openmythos: the public reference's parameter names and config.json.
enum class ExchangeFormat { safetensors, openmythos };

// Fails (usage), listing what there is, on any other name.
ExchangeFormat exchange_format(const std::string& name);

struct ExchangedModel {
  Config config;
  std::unique_ptr<Model> model;
  NonFinite nonfinite;                    // of the tensors as the files name them
  std::optional<DocumentEnds> documents;  // where an export of this program tells them
};

// `weights` is what read_weights (weight_files.h) takes; `config` a .json file, or a .toml file
// (safetensors only). Wrappers' prefixes of names are taken off, which is told. Fails (data) naming
// the tensor that is missing, unknown, of another shape or not of a floating-point type.
ExchangedModel read_exchanged(ExchangeFormat format, const fs::path& weights,
                              const fs::path& config);

// Writes model.safetensors, config.json, config.toml (safetensors) and the tokenizer
// (export_tokenizer) into a directory that exists, and returns their names. With bf16, matrices are
// rounded (what a model computes with in bf16); norms, router, injection and halting stay fp32.
// Fails (usage) when the format cannot say what the model does.
std::vector<std::string> write_exchanged(ExchangeFormat format, const fs::path& directory,
                                         const LoadedCheckpoint& checkpoint, at::ScalarType dtype);

// The largest difference of two models' logits, in fp32, over one batch of pseudo-random tokens.
// Not a number when either model's logits are not finite.
struct Parity {
  double largest_difference = 0;
  int64_t batch = 2, seq_len = 32, loops = 4;
};
Parity compare_logits(const Model& a, const Model& b);

// A copy whose matrices went through `dtype`, as write_exchanged stores them.
Model rounded(const Model& model, at::ScalarType dtype);

}  // namespace mythos
