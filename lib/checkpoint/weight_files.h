#pragma once
#include "checkpoint/openmythos.h"
#include "checkpoint/safetensors.h"

namespace mythos {

// The contents of all .safetensors files of a model.
struct StoredWeights {
  TensorMap tensors;
  // The metadata of all files; where they differ, those of the first file.
  std::map<std::string, std::string> metadata;
};

// Reads the tensors of a model that another program wrote, in one .safetensors file or in several.
// `path` is a file, a directory, or an index such as model.safetensors.index.json, which names the
// shard of each tensor. The files that are read are
// - for a file: that file; all shards if an index beside it names it, or if its own name
//   (model-00001-of-00003) tells that there are more;
// - for a directory: the shards that its only index names, else every .safetensors file in it.
// Fails (data), naming every shard that is absent or damaged, tensors on which the index and the
// shards disagree, and a tensor that two files hold. Warns of files that the index does not name.
// Tensors whose names `passed_over` accepts are left out, whatever their type.
StoredWeights read_weights(const fs::path& path,
                           const std::function<bool(const std::string&)>& passed_over);

// Removes the prefixes that wrappers of PyTorch put before every name ("_orig_mod." of
// torch.compile, "module." of data parallelism, in any order and number) if all names have them.
// Returns what was removed.
std::string take_wrapper_prefix(TensorMap& tensors);

}  // namespace mythos
