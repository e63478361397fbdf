#include "data/build_state.h"

#include <algorithm>

#include "base/strings.h"
#include "data/manifest.h"

namespace mythos {
namespace {

using nlohmann::ordered_json;

// The first line of the file, with the checksum of the rest behind it.
constexpr std::string_view kSchema = "mythos.tokenize-state/1 ";

std::string shown(const ordered_json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

fs::path state_path(const WorkFolder& folder) {
  return folder.path() / "state.json";
}

// Nothing when there is no such file. Fails (data) when it is damaged.
std::optional<BuildState> read_build_state(const fs::path& path) {
  std::error_code status;
  if (!fs::exists(path, status)) return std::nullopt;
  const std::string content = read_file(path);
  const std::string_view text = content;
  const size_t line = std::min(text.find('\n'), text.size());
  const std::string_view body = text.substr(std::min(line + 1, text.size()));
  if (text.substr(0, line) != std::string(kSchema) + checksum(body)) {
    fail(ErrorKind::data, path.string() + ": the checksum does not match");
  }
  const ordered_json root = ordered_json::parse(body);
  BuildState state;
  state.run = root.at("run");
  state.read_documents = root.at("read_documents");
  state.empty_documents = root.at("empty_documents");
  state.text_hash = root.at("text_hash");
  state.complete = root.at("complete");
  state.writer = root.at("writer");
  return state;
}

// The first thing in which two runs differ, "--val-fraction was 0.05, is now 0.1"; or nothing.
std::string run_difference(const ordered_json& was, const ordered_json& is) {
  for (const auto& [name, now] : is.items()) {
    const ordered_json before = was.value(name, ordered_json());
    if (before == now) continue;
    if (!before.is_array() || !now.is_array()) {
      return name + " was " + shown(before) + ", is now " + shown(now);
    }
    size_t at = 0;
    while (at < before.size() && at < now.size() && before[at] == now[at]) ++at;
    const auto part = [&](const ordered_json& array) {
      return at < array.size() ? "'" + shown(array[at]) + "'" : "nothing";
    };
    return name + " were " + part(before) + ", are now " + part(now);
  }
  return "";
}

bool is_in_place(const BuildState& state, const fs::path& directory) {
  const fs::path path = directory / kManifestName;
  std::error_code status;
  return state.complete && fs::is_regular_file(path, status) &&
         read_file(path) == state.writer.at("manifest").get<std::string>();
}

bool is_same_but_for_directory(ordered_json was, ordered_json is) {
  was.erase(kDirectoryKey);
  is.erase(kDirectoryKey);
  return was == is;
}

}  // namespace

void write_build_state(const WorkFolder& folder, const BuildState& state) {
  const ordered_json root = {{"run", state.run},
                             {"read_documents", state.read_documents},
                             {"empty_documents", state.empty_documents},
                             {"text_hash", state.text_hash},
                             {"complete", state.complete},
                             {"writer", state.writer}};
  const std::string body = root.dump() + "\n";
  write_file_atomic(state_path(folder), std::string(kSchema) + checksum(body) + "\n" + body);
}

FoundWork find_work(WorkFolder& folder, const fs::path& directory, const ordered_json& run,
                    bool anew, bool can_read_again) {
  FoundWork found;
  try {
    found.state = read_build_state(state_path(folder));
  } catch (const Error& damage) {
    drop_damaged(folder, damage, anew);
    return {};
  }
  if (found.state) {
    const BuildState& state = *found.state;
    const bool in_place = is_in_place(state, directory);
    found.in_place = in_place && is_same_but_for_directory(state.run, run);
    if (found.in_place) return found;
    const std::string difference = run_difference(state.run, run);
    const bool unwanted = anew && (!difference.empty() || !can_read_again);
    if (!in_place && !unwanted && state.read_documents > 0) {
      folder.keep(true);
      if (difference.empty()) return found;
      fail(ErrorKind::usage,
           folder.path().string() + " holds the unfinished work of another run: " + difference +
               ".\nRun that one again to finish it, or discard its work with --force.");
    }
  }
  folder.clear();
  return {};
}

void drop_damaged(WorkFolder& folder, const Error& damage, bool anew) {
  folder.keep(!anew);
  if (!anew) {
    fail(ErrorKind::data, std::string(damage.what()) +
                              ": the unfinished work is damaged.\n"
                              "Discard it and start anew with --force.");
  }
  folder.clear();
}

}  // namespace mythos
