#pragma once
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

// Exchanges models with other programs: mythos-export(1) and mythos-import(1).
namespace mythos {

// The formats. safetensors: the native tensors (arch/tensors.h) with config.json and config.toml.
// openmythos: the public reference's parameter names, with config.json. hf: a published family's
// names and config.json (hf_config.h). gguf: a file for llama.cpp (gguf_model.h), written by
// export_model() alone.
enum class ExchangeFormat { safetensors, openmythos, hf, gguf };

// The format of that name. Fails (usage), listing the formats, on any other name.
ExchangeFormat exchange_format(const std::string& name);

struct ExchangedModel {
  Config config;
  std::unique_ptr<Model> model;
  NonFinite nonfinite;  // in the tensors, under the files' names
  // Only if an export of this program tells them, or (hf) a file beside the weights.
  std::optional<DocumentEnds> documents;
  ModelFiles model_files;  // hf: those beside the weights
};

// Reads a model. `weights` is a path for read_weights (weight_files.h); `config` is a .json file,
// or a .toml file (safetensors only). Prefixes that wrappers put before names are taken off, and
// what a family stores twice or for nothing is left out (hf_names.h); the log says so. Fails
// (data), naming the tensor, if one is missing, unknown, of another shape or not of a
// floating-point type.
ExchangedModel read_exchanged(ExchangeFormat format, const fs::path& weights,
                              const fs::path& config);

// Writes model.safetensors, config.json, config.toml (safetensors), the tokenizer
// (export_tokenizer) and the published model's files (hf) into a directory that exists, and returns
// their names. With bf16, matrices are rounded as for computing in bf16; norms, router, injection
// and halting stay fp32, but for hf, whose tensors are all of one type. Fails (usage) if the format
// cannot express the model. Not for gguf.
std::vector<std::string> write_exchanged(ExchangeFormat format, const fs::path& directory,
                                         const LoadedCheckpoint& checkpoint, at::ScalarType dtype);

// The largest difference between the logits of two models, in fp32, over one batch of pseudo-random
// tokens; NaN if a model's logits are not finite.
struct Parity {
  double largest_difference = 0;
  int64_t batch = 2, seq_len = 32, loops = 4;
};
Parity compare_logits(const Model& a, const Model& b);

// A copy of a model whose tensors were rounded to `dtype`, as write_exchanged() stores them.
Model rounded(const Model& model, at::ScalarType dtype,
              ExchangeFormat format = ExchangeFormat::safetensors);

// Whether the format stores the model in another form, whose sums have another order.
bool changes_form(const ModelConfig& config, ExchangeFormat format);

}  // namespace mythos
