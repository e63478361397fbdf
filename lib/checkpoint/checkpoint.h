#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "arch/expert_share.h"
#include "base/files.h"
#include "checkpoint/model_files.h"
#include "checkpoint/openmythos.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/slices.h"
#include "config/config.h"
#include "config/document_ends.h"
#include "model/model.h"
#include "model/nonfinite.h"
#include "text/tokenizer.h"

// Checkpoints on disk, in the format that man/mythos-checkpoint.5 specifies.
//   RUN/step-000200/  config.toml  tokenizer.model  model.safetensors  optimizer.safetensors
//                     state.json  manifest.json (checksums of every file, in blocks; written last)
//                     Tensors beyond max_file_bytes go on in model-00002-of-00003.safetensors, …;
//                     rank R of many writes model-rankR.safetensors, …
//   RUN/latest        symbolic link to the newest
//   RUN/best          symbolic link to the one with the lowest loss, if the trainer knows it
namespace mythos {

class Ranks;

struct CheckpointContent {
  Config config;
  const Tokenizer* tokenizer = nullptr;  // null for an imported model without a tokenizer
  NamedTensors model;                    // native names, fp32
  NamedTensors optimizer;                // empty in a checkpoint that cannot be resumed
  TensorShapes sliced;   // the shapes of the tensors that lie there in slices (slices.h)
  nlohmann::json state;  // step, tokens, loss, data cursor, random state
  // BOS and EOS of the training's documents; unknown for an imported model.
  std::optional<DocumentEnds> documents;
  ModelFiles model_files;                // of the published model that this one was made of
  uint64_t max_file_bytes = 4ULL << 30;  // of a tensor file; a larger tensor has a file to itself
};

// A model's tensors without their gradients, as save_checkpoint() takes them; low-rank updates are
// merged in.
NamedTensors named_tensors(const Parameters& parameters);

// Writes RUN/step-NNNNNN under a hidden name, syncs and renames it, then moves RUN/latest. A
// failure (resources) leaves every older checkpoint as it was. A checkpoint of the same step is
// replaced. Returns the directory.
fs::path save_checkpoint(const fs::path& run, int64_t step, const CheckpointContent& content);
// A save by all ranks of a job together, which share the run's file system: each writes the
// tensors of its own content to files of its own, rank 0 the rest and, when all are done, the
// manifest. If one of them fails, all do, with its message.
fs::path save_checkpoint(const fs::path& run, int64_t step, const CheckpointContent& content,
                         Ranks& ranks);

// Moves RUN/best to the checkpoint of `step`.
void mark_best_checkpoint(const fs::path& run, int64_t step);

// The run's whole checkpoints that the trainer called healthy (state.json; those of older versions
// all are), newest first.
std::vector<fs::path> healthy_checkpoints(const fs::path& run);

// Removes all but the newest `keep_last` whole checkpoints (0 keeps all) and the leftovers of
// killed saves. Checkpoints of steps that `keep_every` (0: none) divides stay, and so do the newest
// healthy one and the one that RUN/best leads to; one that a process is loading stays until the
// next call.
void prune_checkpoints(const fs::path& run, int64_t keep_last, int64_t keep_every = 0);

// Removes every checkpoint of the run, whole or not, and the run's links.
void remove_checkpoints(const fs::path& run);

// The step directories that `path` stands for, oldest first, whole or not: `path` itself if it is
// one, else those of the run `path`. Empty if there are none.
std::vector<fs::path> checkpoint_directories(const fs::path& path);

// Reads a whole checkpoint and returns a line for each fault: file, byte range, what. Weights that
// were not finite when they were saved are no fault, but are warned of.
std::vector<std::string> verify_checkpoint(const fs::path& step_directory);

// What the names of averaged weights in the optimizer's state begin with: "ema.NAME".
constexpr const char* kAveragePrefix = "ema.";

struct LoadedCheckpoint {
  fs::path path;  // the step directory
  Config config;
  std::unique_ptr<Tokenizer> tokenizer;  // null if the checkpoint carries none
  std::unique_ptr<Model> model;
  // The optimizer's state, only for resuming. It lies in the mapped files, read-only, so that the
  // device holds it only once, in the optimizer.
  TensorMap optimizer;
  nlohmann::json state;
  NonFinite nonfinite;  // in the model's tensors, then in the optimizer's
  // BOS and EOS of the training's documents; unknown for imported and old checkpoints.
  std::optional<DocumentEnds> documents;
  ModelFiles model_files;

  // Whether the model was trained by config.train, which need not be so for an imported model.
  bool was_trained() const { return state.contains("cursor"); }
};

enum class LoadFor {
  computing,  // weights without gradients, on a CPU read-only in the mapped files
  // As for computing, for text alone: its logits show values that are not finite, so a published
  // model's weights, which have no checksums, are not read through for them.
  decoding,
  averages,  // as for computing, with the averages of the weights (train.ema_decay) instead
  training,  // weights that are made when they are asked for (Parameters), to fill a run's own with
  resuming,  // as for training, and the optimizer's state
};

// Loads a checkpoint after comparing every byte with the manifest, or a directory as models are
// published (published.h), which has no checksums. If `path` is a run, this is its
// newest checkpoint without damage; damaged ones are skipped with a warning that names them. Fails
// (data) if `path` holds no whole checkpoint (the error names what is there, or the file and byte
// range of the damage), if `path` itself is a damaged step directory (it names the checkpoint
// before), if a tensor's name or shape does not match, or if averages are asked for and there are
// none. A checkpoint is not pruned while it is
// loaded. Values that are not finite are loaded, with one warning that counts them (but see
// LoadFor::decoding).
//
// A rank of many that divide routed experts gets its own alone, and its parameters hold no others;
// not for training. Fails (usage) where the model's experts cannot be divided so (expert_share()).
//
// `together` are the ranks of a job that all call this for one run, on a file system that they
// share. Each compares a part of the bytes and looks at a part of the values, and all load the same
// checkpoint, or fail, alike. Fails (data) where they find different ones.
LoadedCheckpoint load_checkpoint(const fs::path& path, at::Device device,
                                 LoadFor purpose = LoadFor::computing,
                                 const ExpertDivision& experts = {}, Ranks* together = nullptr);

}  // namespace mythos
