#pragma once
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/manifest.h"

// The files of a checkpoint: what one process writes, and what many ranks write together.
namespace mythos {

class Ranks;

// Writes configuration, tokenizer and state; lists and describes them in the manifest.
void write_head(const fs::path& directory, const CheckpointContent& content, Manifest& manifest);
// Writes the tensors to model`suffix`.safetensors and optimizer`suffix`.safetensors, or to several
// files of these names with -NNNNN-of-MMMMM; lists and describes them in the manifest.
void write_tensors(const fs::path& directory, const std::string& suffix,
                   const CheckpointContent& content, Manifest& manifest);

// Writes the step directory by all ranks and calls `done` on rank 0 once it has its name. Where one
// of them fails, the directory is removed and all fail alike, naming the rank.
void write_together(const fs::path& step_directory, int64_t step, const CheckpointContent& content,
                    Ranks& ranks, const std::function<void()>& done);

// The tensors of several files, in slices as they are stored.
TensorMap read_tensors(const fs::path& directory, const std::vector<std::string>& names);
// Whole ones; each that is stored in slices is joined when it is made, in memory of its own.
StoredTensors read_whole_tensors(const fs::path& directory, const std::vector<std::string>& names);

}  // namespace mythos
