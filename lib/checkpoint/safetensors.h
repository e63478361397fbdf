#pragma once
#include <torch/types.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"

namespace mythos {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

// Writes a .safetensors file (8-byte header length, JSON header, raw little-endian data; the
// header padded so that data begins at a multiple of 64 bytes). Tensors may live on any device.
void write_safetensors(const fs::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

struct SafetensorsFile {
  std::map<std::string, torch::Tensor> tensors;  // on the CPU, sharing the file's mapping
  std::map<std::string, std::string> metadata;
};
// Fails (data), naming file, byte offset and tensor, when the header is malformed, an entry reaches
// outside the file, entries overlap or leave gaps, or a type is not known.
SafetensorsFile read_safetensors(const fs::path& path);

}  // namespace mythos
