#include "checkpoint/listing.h"

#include <iterator>
#include <map>

#include "base/error.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"

namespace mythos {
namespace {

uint64_t stored_bytes(const fs::path& directory) {
  uint64_t bytes = 0;
  std::error_code status;
  for (const auto& entry : fs::directory_iterator(directory, status)) {
    bytes += entry.file_size(status);
  }
  return bytes;
}

// state.json of a checkpoint, or an empty object where it cannot be read.
nlohmann::json state_of(const fs::path& directory) {
  std::error_code status;
  if (!fs::exists(directory / "state.json", status)) return nlohmann::json::object();
  nlohmann::json state = nlohmann::json::parse(read_file(directory / "state.json"), nullptr, false);
  return state.is_object() ? state : nlohmann::json::object();
}

// A run's lines of metrics that tell of a validation, by step.
std::map<int64_t, nlohmann::json> validations(const fs::path& metrics) {
  std::map<int64_t, nlohmann::json> lines;
  std::error_code status;
  if (!fs::is_regular_file(metrics, status)) return lines;
  for (const std::string& text : split(read_file(metrics), '\n')) {
    const nlohmann::json line = nlohmann::json::parse(text, nullptr, false);
    if (!line.is_object() || !line.contains("val_loss") || !line.contains("step")) continue;
    if (line["step"].is_number_integer()) lines[line["step"].get<int64_t>()] = line;
  }
  return lines;
}

}  // namespace

std::vector<fs::path> require_checkpoints(const fs::path& path) {
  std::vector<fs::path> found = checkpoint_directories(path);
  if (!found.empty()) return found;
  fail(ErrorKind::data, path.string() + ": no checkpoint (a directory step-NNNNNN) is there");
}

std::vector<CheckpointSummary> list_checkpoints(const fs::path& run) {
  const std::vector<fs::path> found = require_checkpoints(run);
  const fs::path folder = found[0].has_parent_path() ? found[0].parent_path() : fs::path(".");
  const std::map<int64_t, nlohmann::json> validated = validations(folder / "metrics.jsonl");
  std::error_code status;
  const fs::path best = fs::read_symlink(folder / "best", status);
  std::vector<CheckpointSummary> summaries;
  for (const fs::path& directory : found) {
    const nlohmann::json state = state_of(directory);
    const auto member = [&](const nlohmann::json& of, const char* key) {
      return of.value(key, nlohmann::json());
    };
    CheckpointSummary summary{directory,
                              member(state, "step"),
                              member(state, "tokens"),
                              member(state, "val_loss"),
                              member(state, "val_bpb"),
                              directory.filename() == best,
                              stored_bytes(directory)};
    if (summary.step.is_number_integer()) {
      const auto after = validated.upper_bound(summary.step.get<int64_t>());
      if (after != validated.begin()) {
        summary.val_loss = member(std::prev(after)->second, "val_loss");
        summary.val_bpb = member(std::prev(after)->second, "val_bpb");
      }
    }
    summaries.push_back(std::move(summary));
  }
  return summaries;
}

}  // namespace mythos
