#pragma once
#include <memory>

#include "base/files.h"
#include "model/cross_loop.h"

// The file of a basis of CacheSharing::low_rank: .safetensors with the tensors layer.N.a and
// layer.N.b of core layer N and `probe`, and metadata format (mythos.cache-basis/1), loops and
// rank (man/mythos-fit-cache.1).
namespace mythos {

void save_cache_basis(const fs::path& path, const CrossLoopBasis& basis);

// Reads a basis for the model with this embedding, onto its device. Fails (data), naming the file,
// where it is damaged, no basis or that of another model.
std::shared_ptr<const CrossLoopBasis> load_cache_basis(const fs::path& path,
                                                       const ModelConfig& config,
                                                       const at::Tensor& embedding);

}  // namespace mythos
