#pragma once
#include <memory>

#include "checkpoint/checkpoint.h"

// Models as llama.cpp runs them: its architectures `llama`, `qwen2`, `qwen3` and `nanbeige`.
namespace mythos {

// The model as a published family has it (hf_form()), in fp32. Fails (usage), with the reason, if
// llama.cpp has no architecture for it.
Model gguf_form(const Config& config, const Model& model);

// Writes a model of gguf_form() and its tokenizer. Matrices have the type `dtype`, to which they
// must have been rounded, vectors fp32. Fails (usage), with the reason, at a tokenizer that
// llama.cpp does not compute.
void write_gguf_model(const fs::path& path, const LoadedCheckpoint& checkpoint, const Model& form,
                      at::ScalarType dtype);

// The model of such a file, whose configuration is `form`. Fails (data) if tensors are missing.
std::unique_ptr<Model> read_gguf_model(const fs::path& path, const ModelConfig& form);

}  // namespace mythos
