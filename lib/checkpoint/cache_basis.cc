#include "checkpoint/cache_basis.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "base/strings.h"
#include "checkpoint/safetensors.h"

namespace mythos {
namespace {

using at::Tensor;

constexpr const char* kFormat = "mythos.cache-basis/1";
constexpr const char* kParts[] = {"a", "b"};

std::string basis_name(size_t layer, size_t part) {
  return strprintf("layer.%d.%s", layer, kParts[part]);
}

// A count of the metadata; 0 where there is none.
int64_t count_of(const SafetensorsFile& file, const std::string& key) {
  constexpr int64_t kMost = 999'999'999;
  const auto found = file.metadata.find(key);
  const auto count = found == file.metadata.end() ? std::nullopt : parse_int(found->second);
  return count && *count > 0 && *count <= kMost ? *count : 0;
}

}  // namespace

void save_cache_basis(const fs::path& path, const CrossLoopBasis& basis) {
  NamedTensors tensors;
  for (size_t layer = 0; layer < basis.layers.size(); ++layer) {
    for (size_t part = 0; part < 2; ++part) {
      const Tensor& values = basis.layers[layer][part];
      if (values.defined()) tensors.emplace_back(basis_name(layer, part), values);
    }
  }
  tensors.emplace_back("probe", basis.probe);
  write_safetensors(path, tensors,
                    {{"format", kFormat},
                     {"loops", std::to_string(basis.loops)},
                     {"rank", std::to_string(basis.rank)}});
}

std::shared_ptr<const CrossLoopBasis> load_cache_basis(const fs::path& path,
                                                       const ModelConfig& config,
                                                       const Tensor& embedding) {
  const SafetensorsFile file = read_safetensors(path);
  const auto format = file.metadata.find("format");
  auto basis = std::make_shared<CrossLoopBasis>();
  basis->loops = count_of(file, "loops");
  basis->rank = count_of(file, "rank");
  basis->origin = path.string();
  const auto take = [&](const std::string& name, Tensor& to) {
    const auto found = file.tensors.find(name);
    if (found == file.tensors.end()) return false;
    to = found->second;
    return to.scalar_type() == at::kFloat && to.isfinite().all().item<bool>();
  };
  size_t known = 1;
  bool whole = format != file.metadata.end() && format->second == kFormat && basis->loops > 0 &&
               basis->rank > 0 && take("probe", basis->probe);
  for (size_t layer = 0; whole && file.tensors.count(basis_name(layer, 0)) > 0; ++layer) {
    auto& values = basis->layers.emplace_back();
    whole = take(basis_name(layer, 0), values[0]);
    const bool pair = file.tensors.count(basis_name(layer, 1)) > 0;
    if (pair) whole = whole && take(basis_name(layer, 1), values[1]);
    known += pair ? 2 : 1;
  }
  if (!whole || known != file.tensors.size()) {
    fail(ErrorKind::data,
         strprintf("%s: is no basis of a low-rank cache (%s) that this version reads.", path,
                   kFormat),
         "Write one: mythos fit-cache --checkpoint RUN --data DIR --rank R --output FILE");
  }
  check_cross_loop(*basis, config, embedding);
  for (auto& layer : basis->layers) {
    for (Tensor& part : layer) {
      if (part.defined()) part = part.to(embedding.device());
    }
  }
  return basis;
}

}  // namespace mythos
