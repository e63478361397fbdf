#pragma once
#include "checkpoint/checkpoint.h"

namespace mythos {

// Whether `path` is a directory as models are published: with a config.json that tells its family
// (hf_config.h), and no checkpoint of this program.
bool is_published(const fs::path& path);

// Loads such a directory: config.json, the weights (weight_files.h), and the tokenizer with what
// lies beside it (load_tokenizer.h). For computing, the tensors are made when they are asked for
// (Parameters): those that are one tensor in the files are the mapped file itself, those that are
// joined of several are copied, and the files' pages are let go of behind that. They keep the types
// of the files. The steps of a run are none, so there is nothing to resume and there are no
// averages: fails (data) for those purposes. Fails (data) on what config_from_hf(), read_weights(),
// from_hf() and load_tokenizer() refuse.
LoadedCheckpoint load_published(const fs::path& directory, at::Device device, LoadFor purpose);

}  // namespace mythos
