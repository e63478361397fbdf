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
#include "config/document_ends.h"
#include "model/model.h"
#include "model/nonfinite.h"
#include "text/tokenizer.h"

// Checkpoints on disk: man/mythos-checkpoint.5 is the format.
//   RUN/step-000200/  config.toml  tokenizer.model  model.safetensors  optimizer.safetensors
//                     state.json  manifest.json (checksums of every file, in blocks; written last)
//                     Tensors beyond max_file_bytes go on in model-00002-of-00003.safetensors, …
//   RUN/latest        symbolic link to the newest
//   RUN/best          symbolic link to the one with the lowest loss, where the trainer knows it
namespace mythos {

struct CheckpointContent {
  Config config;
  const Tokenizer* tokenizer = nullptr;   // may be null: an imported model without one
  NamedTensors model;                     // native names, fp32
  NamedTensors optimizer;                 // empty: a checkpoint to compute with, not to resume from
  nlohmann::json state;                   // step, tokens, loss, data cursor, random state
  std::optional<DocumentEnds> documents;  // of the training; not known of an imported model
  uint64_t max_file_bytes = 4ULL << 30;   // of one tensor file; a larger tensor has one to itself
};

// A model's tensors as save_checkpoint takes them, without gradient.
NamedTensors named_tensors(const Parameters& parameters);

// Writes RUN/step-NNNNNN aside, syncs, renames, then moves RUN/latest. A failure (resources) leaves
// every older checkpoint as it was. A checkpoint of the same step is replaced. Returns the
// directory.
fs::path save_checkpoint(const fs::path& run, int64_t step, const CheckpointContent& content);

// Moves RUN/best to the checkpoint of that step.
void mark_best_checkpoint(const fs::path& run, int64_t step);

// Removes all but the newest `keep_last` whole ones (0 keeps all) and any leftovers of killed
// saves. What RUN/best leads to stays, and what someone is loading stays until the next call.
void prune_checkpoints(const fs::path& run, int64_t keep_last);

// Removes every checkpoint of the run, whole or not, and its links.
void remove_checkpoints(const fs::path& run);

// Every step directory that `path` means, oldest first, whole or not: `path` itself when it is one,
// else those of the run. Empty when there is none.
std::vector<fs::path> checkpoint_directories(const fs::path& path);

// One line per fault: file, byte range and what. Reads everything. Weights that are not finite, yet
// are what was saved, are no fault but have a warning.
std::vector<std::string> verify_checkpoint(const fs::path& step_directory);

struct LoadedCheckpoint {
  fs::path path;  // the step directory
  Config config;
  std::unique_ptr<Tokenizer> tokenizer;  // null when it carries none
  std::unique_ptr<Model> model;
  // Only for resuming: in the mapped files, read-only, so that the device holds the state but once,
  // where the optimizer has it.
  TensorMap optimizer;
  nlohmann::json state;
  NonFinite nonfinite;                    // of the model's tensors, then of the optimizer's
  std::optional<DocumentEnds> documents;  // of the training; not known of imported and old ones

  // Whether config.train is what the model was trained by. Of an imported one it need not be.
  bool was_trained() const { return state.contains("cursor"); }
};

enum class LoadFor {
  computing,  // on a CPU the values lie in the mapped files, read-only, and ask for no gradient
  training,   // weights of their own that ask for gradients
  resuming,   // the optimizer too
};

// Every byte is compared with the manifest before use. Of a run it is the newest checkpoint whose
// bytes are all as they were written; damaged ones are passed over with a warning that names them.
// Fails (data) when `path` holds none (names what is there, or file and byte range of the damage),
// when `path` itself is a step directory with damage (names the checkpoint before it), or when a
// tensor's name or shape does not match. Checkpoints that are loaded are not pruned meanwhile.
// Values that are not finite are loaded, with one warning that counts them.
LoadedCheckpoint load_checkpoint(const fs::path& path, at::Device device,
                                 LoadFor purpose = LoadFor::computing);

}  // namespace mythos
