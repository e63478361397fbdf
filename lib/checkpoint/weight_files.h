#pragma once
#include <utility>
#include <vector>

#include "checkpoint/openmythos.h"
#include "checkpoint/safetensors.h"

namespace mythos {

// Read-only memory in mappings of files, which lasts as long as this.
struct MappedRanges {
  std::vector<std::pair<const void*, size_t>> ranges;  // address and bytes
  std::vector<at::Tensor> holders;                     // a tensor of each file
};

// The contents of all files of a model's weights.
struct StoredWeights {
  TensorMap tensors;
  // The metadata of all files; where they differ, those of the first file.
  std::map<std::string, std::string> metadata;
  // What of the tensors lies in mappings of files.
  MappedRanges mapped;
  std::vector<fs::path> files;
};

// Reads the tensors of a model that another program wrote, in one .safetensors file or in several,
// or in files of PyTorch (base/torch_archive.h). `path` is a file, a directory, or an index such as
// model.safetensors.index.json, which names the shard of each tensor. The files that are read are
// - for a file: that file; all shards if an index beside it names it, or if its own name
//   (model-00001-of-00003) tells that there are more;
// - for a directory: the shards that its only index names, else every .safetensors file in it,
//   else those of PyTorch: pytorch_model.bin, numbered ones, or the only .bin, .pt or .pth file.
// Fails (data), naming every shard that is absent or damaged, tensors on which the index and the
// shards disagree, and a tensor that two files hold. Warns of files that the index does not name.
// Tensors whose names `passed_over` accepts are left out, whatever their type.
StoredWeights read_weights(const fs::path& path,
                           const std::function<bool(const std::string&)>& passed_over);

// Removes the prefixes that wrappers of PyTorch put before every name ("_orig_mod." of
// torch.compile, "module." of data parallelism, in any order and number) if all names have them.
// Returns what was removed.
std::string take_wrapper_prefix(TensorMap& tensors);

// Fails (data) where a tensor's numbers are not floating-point ones, whose meaning a loader could
// only guess: they are quantized weights or no weights.
void require_floating_point(const TensorMap& tensors, const std::string& origin);

}  // namespace mythos
