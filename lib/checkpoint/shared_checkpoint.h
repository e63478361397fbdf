#pragma once
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/manifest.h"

// The files of a checkpoint: what one process writes and reads, and what many ranks do together.
// Ranks that read do so from a file system that they share, and one rank reads alone.
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

// Fails (data) unless all ranks have come to the same checkpoint. Returns what is wrong with it for
// the first rank that found something in it; empty if none did.
std::string agree_on_fault(const fs::path& step_directory, const std::string& fault, Ranks& ranks);

// Compares the files of a checkpoint, but those that are passed over, with its manifest, each rank
// a part of every file. Returns the faults that all have found, by file.
std::vector<std::string> check_files(const fs::path& directory, const Manifest& manifest,
                                     const std::vector<std::string>& passed_over, Ranks& ranks);

// The values that are not finite. Of N ranks each looks at every Nth tensor, and all get what all
// have found. Makes one tensor after the other and lets go of it.
NonFinite find_nonfinite(const std::vector<std::pair<std::string, StoredTensor>>& tensors,
                         Ranks& ranks);

// The tensors of several files, in slices as they are stored.
TensorMap read_tensors(const fs::path& directory, const std::vector<std::string>& names);
// Whole ones; each that is stored in slices is joined when it is made, in memory of its own.
StoredTensors read_whole_tensors(const fs::path& directory, const std::vector<std::string>& names);

}  // namespace mythos
