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
// header padded so that data begins at a multiple of 64 bytes). Tensors may lie on any device. They
// are stored in the given order, but wider types first, so that each begins at a multiple of its
// element size.
void write_safetensors(const fs::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

// The extent of a tensor's data in its file: bytes begin … end-1, counted from the start of the
// file.
struct TensorExtent {
  std::string name;
  at::ScalarType dtype = at::kFloat;  // Undefined, without a shape, if passed over
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

struct SafetensorsFile {
  // The tensors lie on the CPU in the file's mapping, which lives as long as the last of them. The
  // mapping is read-only: writing to one of these tensors ends the process, so clone it first.
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, std::string> metadata;
  std::vector<TensorExtent> extents;  // in file order
};
// Reads a file. Fails (data), naming file, byte offset and tensor, if the header is malformed, an
// entry reaches outside the file, entries overlap or leave gaps, a name occurs twice, or a type is
// unknown. Tensors whose names `passed_over` accepts may have any type; only their extents are
// given.
SafetensorsFile read_safetensors(const fs::path& path,
                                 const std::function<bool(const std::string&)>& passed_over = {});

// The format's name of a type, such as "F32". Fails (internal) for a type that the format lacks.
std::string_view stored_type_name(at::ScalarType type);

}  // namespace mythos
