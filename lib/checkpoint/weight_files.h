#pragma once
#include "checkpoint/openmythos.h"
#include "checkpoint/safetensors.h"

namespace mythos {

// What the .safetensors files of a model hold together.
struct StoredWeights {
  TensorMap tensors;
  std::map<std::string, std::string> metadata;  // of the files, the first's where they differ
};

// The tensors of a model that another program wrote, in one .safetensors file or in several. `path`
// is a file, a directory, or an index such as model.safetensors.index.json, which names the shard
// of each tensor. Read are
// - a file alone, unless an index beside it names it or its own name (model-00001-of-00003) tells
//   that there are more: then all shards;
// - the shards that the one index of a directory names, else every .safetensors file in it.
// Fails (data) naming every shard that is absent or damaged, tensors that the index and the shards
// do not agree on, and a tensor that two files hold. Warns of files that the index does not name.
// Tensors that `passed_over` takes by name are left out, whatever their type.
StoredWeights read_weights(const fs::path& path,
                           const std::function<bool(const std::string&)>& passed_over);

// Takes the prefixes that wrappers of PyTorch give to every name ("_orig_mod." of torch.compile,
// "module." of data parallelism, in any order and number) off all names, where all have them, and
// returns what was taken off.
std::string take_wrapper_prefix(TensorMap& tensors);

}  // namespace mythos
