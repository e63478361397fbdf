#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/downloads.h"

namespace mythos {

// The config.json of a directory as models are published: one that tells its family (hf_config.h),
// beside no checkpoint of this program. Nothing where `path` is no such directory.
std::optional<nlohmann::json> published_config(const fs::path& path);

// Loads such a directory: its config.json, which was read, the weights (weight_files.h), and the
// tokenizer with what lies beside it (load_tokenizer.h). The tensors are made when
// they are asked for (Parameters): those that are one tensor in the files, or several in a row, are
// the mapped file itself, those that are joined of others are copied, and the files' pages are let
// go of behind that. They keep the types of the files. The steps of a run are none, so there is
// nothing to resume and there are no averages: fails (data) for those purposes. Fails (data) on
// what config_from_hf(), read_weights(), from_hf() and load_tokenizer() refuse.
LoadedCheckpoint load_published(const fs::path& directory, const nlohmann::json& config,
                                at::Device device, LoadFor purpose);

// What `mythos checkpoint` says of such a directory.
struct PublishedSummary {
  std::string family;                    // model_type, or _class_name
  int64_t parameters = 0, loops = 0;     // loops: the model's own
  std::vector<std::string> files;        // of weights, by name
  uint64_t bytes = 0;                    // of these
  int64_t tensors = 0;                   // in them
  std::map<std::string, int64_t> types;  // numbers by their type, such as "BF16"
  std::vector<std::string> left_out;     // tensors that the model does not need, and why
  std::string tokenizer;                 // its file's name; empty without one
};

// Reads headers alone. Fails (data) as load_published() does.
PublishedSummary summarise_published(const fs::path& directory, const nlohmann::json& config);

// Reads the whole directory; what load_published() refuses is a fault, and so is a file of weights
// whose checksum is known and differs (downloads.h). Weights that are not finite are warned of.
DownloadCheck verify_published(const fs::path& directory, const nlohmann::json& config);

}  // namespace mythos
