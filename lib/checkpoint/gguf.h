#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "checkpoint/openmythos.h"
#include "checkpoint/safetensors.h"

// The container of llama.cpp's models, GGUF version 3 (github.com/ggml-org/ggml, docs/gguf.md):
// metadata, then tensors, in one little-endian file.
namespace mythos {

// The kinds of values that are written here; the format has more.
using GgufValue = std::variant<uint32_t, float, bool, std::string, std::vector<int32_t>,
                               std::vector<float>, std::vector<std::string>>;
using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;

// Writes the metadata in the given order and the tensors, fp32, fp16 or bf16, each at a multiple of
// 32 bytes. Tensors may lie on any device. Fails (internal) at another type.
void write_gguf(const fs::path& path, const GgufMetadata& metadata, const NamedTensors& tensors);

struct GgufFile {
  std::map<std::string, GgufValue> metadata;
  TensorMap tensors;  // copies on the CPU
};
// Reads a file of such values. Fails (data), naming the file and the byte, if it is cut off, of
// another version, or holds other types.
GgufFile read_gguf(const fs::path& path);

}  // namespace mythos
