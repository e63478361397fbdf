#include "data/build/build_state.h"

#include <algorithm>

#include "base/strings.h"
#include "data/shards/manifest.h"

namespace mythos {
namespace {

using nlohmann::ordered_json;

// The first line of the file, which the checksum of the rest follows.
constexpr std::string_view kStateSchema = "mythos.tokenize-state/2 ";

std::string value_text(const ordered_json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

fs::path state_path(const WorkFolder& folder) {
  return folder.path() / "state.json";
}

ordered_json to_json(const BuildMoment& moment) {
  return {{"read_documents", moment.read_documents},
          {"empty_documents", moment.empty_documents},
          {"text_hash", moment.text_hash},
          {"read_inputs", moment.read_inputs},
          {"writer", moment.writer}};
}

BuildMoment moment_of(const ordered_json& json) {
  return {json.at("read_documents"), json.at("empty_documents"), json.at("text_hash"),
          json.at("read_inputs"), json.at("writer")};
}

// Reads the saved state; nothing if there is no such file. Fails (data) if it is damaged.
std::optional<BuildState> read_build_state(const fs::path& path) {
  std::error_code status;
  if (!fs::exists(path, status)) return std::nullopt;
  const std::string content = read_file(path);
  const std::string_view text = content;
  const size_t line = std::min(text.find('\n'), text.size());
  const std::string_view body = text.substr(std::min(line + 1, text.size()));
  if (text.substr(0, line) != std::string(kStateSchema) + checksum(body)) {
    fail(ErrorKind::data, path.string() + ": the checksum does not match");
  }
  const ordered_json root = ordered_json::parse(body);
  BuildState state;
  state.run = root.at("run");
  state.inputs = root.at("inputs");
  state.now = moment_of(root.at("now"));
  if (!root.at("earlier").is_null()) state.earlier = moment_of(root.at("earlier"));
  state.complete = root.at("complete");
  return state;
}

// The first difference between two runs, "--val-fraction was 0.05, is now 0.1"; empty if they are
// equal.
std::string run_difference(const ordered_json& was, const ordered_json& is) {
  for (const auto& [name, now] : is.items()) {
    const ordered_json before = was.value(name, ordered_json());
    if (before == now) continue;
    if (!before.is_array() || !now.is_array()) {
      return name + " was " + value_text(before) + ", is now " + value_text(now);
    }
    size_t at = 0;
    while (at < before.size() && at < now.size() && before[at] == now[at]) ++at;
    const auto part = [&](const ordered_json& array) {
      return at < array.size() ? "'" + value_text(array[at]) + "'" : "nothing";
    };
    return name + " were " + part(before) + ", are now " + part(now);
  }
  return "";
}

bool is_in_place(const BuildState& state, const fs::path& directory) {
  const fs::path path = directory / kShardManifestName;
  std::error_code status;
  return state.complete && fs::is_regular_file(path, status) &&
         read_file(path) == state.now.writer.at("manifest").get<std::string>();
}

bool is_same_but_for_directory(ordered_json was, ordered_json is) {
  was.erase(kDirectoryKey);
  is.erase(kDirectoryKey);
  return was == is;
}

ordered_json first_inputs(const ordered_json& inputs, uint64_t count) {
  ordered_json first = ordered_json::array();
  for (uint64_t i = 0; i < count && i < inputs.size(); ++i) first.push_back(inputs[i]);
  return first;
}

bool are_same_inputs(const ordered_json& was, const ordered_json& is, uint64_t count) {
  return first_inputs(was, count) == first_inputs(is, count);
}

// The name in "NAME SIZE TIME".
std::string name_of_input(const std::string& input) {
  return input.substr(0, input.rfind(' ', input.rfind(' ') - 1));
}

// Whether the first `count` inputs are equal except for the content of the last of them.
bool are_same_but_for_last(const ordered_json& was, const ordered_json& is, uint64_t count) {
  return count > 0 && is.size() >= count && are_same_inputs(was, is, count - 1) &&
         name_of_input(was[count - 1].get<std::string>()) ==
             name_of_input(is[count - 1].get<std::string>());
}

// The difference that keeps the wanted run from going on with the work. Empty if it can; the state
// is then set to the moment from which it goes on.
std::string fit(FoundWork& found, const BuildState& wanted) {
  BuildState& state = *found.state;
  const std::string difference = run_difference(state.run, wanted.run);
  if (!difference.empty()) return difference;
  const uint64_t count =
      state.complete ? std::max(state.inputs.size(), wanted.inputs.size()) : state.now.read_inputs;
  if (are_same_inputs(state.inputs, wanted.inputs, count)) return "";
  found.changed = !state.complete && are_same_but_for_last(state.inputs, wanted.inputs, count);
  if (found.changed) return "";
  if (!state.complete && state.earlier &&
      are_same_inputs(state.inputs, wanted.inputs, state.earlier->read_inputs)) {
    state.now = *state.earlier;
    return "";
  }
  const char* name = "the inputs (name, size, time of change)";
  return run_difference({{name, first_inputs(state.inputs, count)}},
                        {{name, first_inputs(wanted.inputs, count)}});
}

}  // namespace

void write_build_state(const WorkFolder& folder, const BuildState& state) {
  ordered_json earlier;
  if (state.earlier) earlier = to_json(*state.earlier);
  const ordered_json root = {{"run", state.run},
                             {"inputs", state.inputs},
                             {"now", to_json(state.now)},
                             {"earlier", earlier},
                             {"complete", state.complete}};
  const std::string body = root.dump() + "\n";
  write_file_atomic(state_path(folder), std::string(kStateSchema) + checksum(body) + "\n" + body);
}

FoundWork find_work(WorkFolder& folder, const fs::path& directory, const BuildState& wanted,
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
    found.in_place = in_place && is_same_but_for_directory(state.run, wanted.run) &&
                     state.inputs == wanted.inputs;
    if (found.in_place) return found;
    const std::string difference = fit(found, wanted);
    const bool unwanted = anew && (!difference.empty() || found.changed || !can_read_again);
    if (!in_place && !unwanted && state.now.read_documents > 0) {
      folder.keep(true);
      if (difference.empty()) return found;
      fail(
          ErrorKind::usage,
          folder.path().string() + " holds the unfinished work of another run: " + difference + ".",
          "Run that one again to finish it, or discard its work with --force.");
    }
  }
  folder.clear();
  return {};
}

void drop_damaged(WorkFolder& folder, const Error& damage, bool anew) {
  folder.keep(!anew);
  if (!anew) {
    fail(ErrorKind::data, damage.message() + ": the unfinished work is damaged.",
         "Discard it and start anew with --force.");
  }
  folder.clear();
}

}  // namespace mythos
