#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "checkpoint/openmythos.h"
#include "checkpoint/safetensors.h"
#include "config/config.h"
#include "nn/model.h"
#include "text/tokenizer.h"

// Checkpoints on disk: man/mythos-checkpoint.5 is the format.
//   RUN/step-000200/  config.toml  tokenizer.model  model.safetensors  optimizer.safetensors
//                     state.json  manifest.json (checksums of every file, in blocks; written last)
//                     Tensors beyond max_file_bytes go on in model-00002-of-00003.safetensors, …
//   RUN/latest        symbolic link to the newest
namespace mythos {

struct CheckpointContent {
  Config config;
  const Tokenizer* tokenizer = nullptr;  // may be null: an imported model without one
  NamedTensors model;                    // native names, fp32
  NamedTensors optimizer;                // empty: a checkpoint to compute with, not to resume from
  nlohmann::json state;                  // step, tokens, loss, data cursor, random state
  uint64_t max_file_bytes = 4ULL << 30;  // of one tensor file; a larger tensor has one to itself
};

// A model's tensors as save_checkpoint takes them, without gradient.
NamedTensors named_tensors(const Parameters& parameters);

// Writes RUN/step-NNNNNN aside, syncs, renames, then moves RUN/latest. A failure (resources) leaves
// every older checkpoint as it was. A checkpoint of the same step is replaced. Returns the
// directory.
fs::path save_checkpoint(const fs::path& run, int64_t step, const CheckpointContent& content);

// Removes all but the newest `keep_last` whole ones (0 keeps all) and any leftovers of killed
// saves.
void prune_checkpoints(const fs::path& run, int64_t keep_last);

// The checkpoint that `path` means: `path` itself when it is a step directory, else the newest
// whole one in the run. Incomplete ones are passed over with a warning. Nothing when there is none.
std::optional<fs::path> find_checkpoint(const fs::path& path);

// Every step directory that `path` means, oldest first, whole or not: `path` itself when it is one,
// else those of the run. Empty when there is none.
std::vector<fs::path> checkpoint_directories(const fs::path& path);

// One line per fault: file, byte range and what. Reads everything.
std::vector<std::string> verify_checkpoint(const fs::path& step_directory);

struct LoadedCheckpoint {
  fs::path path;  // the step directory
  Config config;
  std::unique_ptr<Tokenizer> tokenizer;  // null when it carries none
  std::unique_ptr<Model> model;
  TensorMap optimizer;  // only when asked for
  nlohmann::json state;
};
// Every byte is compared with the manifest before use. Fails (data) when `path` holds no checkpoint
// (names what is there), or a checksum, name or shape does not match (names file and byte range,
// and the checkpoint before it). Without the optimizer the model is one to compute with: on a CPU
// its values lie in the mapped files, which are read-only, and its tensors ask for no gradient.
LoadedCheckpoint load_checkpoint(const fs::path& path, at::Device device,
                                 bool with_optimizer = false);

}  // namespace mythos
