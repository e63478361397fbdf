#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/files.h"

namespace mythos {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// Writes a .safetensors file (8-byte header length, JSON header, raw little-endian data; the
// header padded so that data begins at a multiple of 64 bytes). Tensors may live on any device;
// they are stored in the order given, wider types first so that each begins at a multiple of its
// size.
void write_safetensors(const fs::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

// Where one tensor's data lie in its file: bytes begin … end-1, counted from the start of the file.
struct TensorExtent {
  std::string name;
  at::ScalarType dtype = at::kFloat;  // Undefined, without shape, where passed over
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

struct SafetensorsFile {
  // On the CPU, sharing the file's mapping (which lives as long as the last of them). The mapping
  // is read-only: writing to one of these tensors ends the process; clone it first.
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, std::string> metadata;
  std::vector<TensorExtent> extents;  // in file order
};
// Fails (data), naming file, byte offset and tensor, when the header is malformed, an entry reaches
// outside the file, entries overlap or leave gaps, a name occurs twice, or a type is not known.
// Those that `passed_over` takes by name may have any type; they are among the extents alone.
SafetensorsFile read_safetensors(const fs::path& path,
                                 const std::function<bool(const std::string&)>& passed_over = {});

// "F32": the format's name of a type. Fails (internal) for one that it lacks.
std::string_view stored_type_name(at::ScalarType type);

}  // namespace mythos
