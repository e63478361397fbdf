#include "checkpoint/torch_file.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <memory>

#include "base/error.h"
#include "base/strings.h"
#include "base/torch_archive.h"

namespace mythos {
namespace {

at::ScalarType scalar_type(TorchType type) {
  switch (type) {
    case TorchType::f64:
      return at::kDouble;
    case TorchType::f32:
      return at::kFloat;
    case TorchType::f16:
      return at::kHalf;
    case TorchType::bf16:
      return at::kBFloat16;
    case TorchType::i64:
      return at::kLong;
    case TorchType::i32:
      return at::kInt;
    case TorchType::i16:
      return at::kShort;
    case TorchType::i8:
      return at::kChar;
    case TorchType::u8:
      return at::kByte;
    case TorchType::boolean:
      return at::kBool;
    case TorchType::c64:
      return at::kComplexFloat;
    case TorchType::c128:
      return at::kComplexDouble;
  }
  fail(ErrorKind::internal, "unknown type of a PyTorch tensor");
}

at::Tensor map_torch_tensor(const std::shared_ptr<MappedFile>& file, const TorchTensor& tensor) {
  const auto options = at::TensorOptions().dtype(scalar_type(tensor.type));
  int64_t count = 1, reach = 1;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    count *= tensor.shape[i];
    reach += (tensor.shape[i] - 1) * tensor.strides[i];
  }
  if (count == 0) return at::empty(tensor.shape, options);
  auto* data = const_cast<std::byte*>(file->bytes().data() + tensor.begin);
  const uint64_t width = element_bytes(tensor.type);
  // Other programs may not align storages; kernels expect aligned elements.
  if (reinterpret_cast<uintptr_t>(data) % width != 0) {
    const at::Tensor copy = at::empty({reach}, options);
    std::memcpy(copy.data_ptr(), data, static_cast<uint64_t>(reach) * width);
    return copy.as_strided(tensor.shape, tensor.strides);
  }
  return at::from_blob(
      data, tensor.shape, tensor.strides, [file](void*) {}, options);
}

}  // namespace

SafetensorsFile read_torch_file(const fs::path& path,
                                const std::function<bool(const std::string&)>& passed_over) {
  const auto file = std::make_shared<MappedFile>(path);
  SafetensorsFile out;
  for (const TorchTensor& tensor : read_torch_archive(*file)) {
    TensorExtent extent;
    extent.name = tensor.name;
    extent.begin = extent.end = tensor.begin;
    if (passed_over && passed_over(tensor.name)) {
      extent.dtype = at::ScalarType::Undefined;
    } else {
      extent.dtype = scalar_type(tensor.type);
      extent.shape = tensor.shape;
      out.tensors.emplace(tensor.name, map_torch_tensor(file, tensor));
    }
    out.extents.push_back(std::move(extent));
  }
  return out;
}

SafetensorsFile read_tensor_file(const fs::path& path,
                                 const std::function<bool(const std::string&)>& passed_over) {
  std::string start(16, '\0');
  std::ifstream stream(path, std::ios::binary);
  stream.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<size_t>(std::max<std::streamsize>(0, stream.gcount())));
  return is_torch_archive(start) ? read_torch_file(path, passed_over)
                                 : read_safetensors(path, passed_over);
}

}  // namespace mythos
