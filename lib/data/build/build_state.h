#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/error.h"
#include "data/build/work_folder.h"

namespace mythos {

// A moment of a build of shards.
struct BuildMoment {
  uint64_t read_documents = 0, empty_documents = 0;
  uint64_t text_hash = 0;         // of the texts of all documents read, in order
  uint64_t read_inputs = 0;       // up to and with the one that the last document came from
  nlohmann::ordered_json writer;  // ShardSetWriter::save()
};

// How far a build of shards has come.
struct BuildState {
  // What decides the result, by the name that a user knows it by: only the same run goes on.
  nlohmann::ordered_json run;
  // Name, size and time of change of each input. Those that are read must stay the same.
  nlohmann::ordered_json inputs;
  BuildMoment now;
  // A moment between two inputs, to go back to when a later one has changed.
  std::optional<BuildMoment> earlier;
  bool complete = false;  // all files are finished; what remains is to put them in place
};

// A member of `run`: which manifest the work is to be added to.
inline constexpr const char* kDirectoryKey = "the directory's manifest";

// Replaces the folder's state in one step; it survives a loss of power.
void write_build_state(const WorkFolder& folder, const BuildState& state);

struct FoundWork {
  std::optional<BuildState> state;  // none: a fresh start
  bool in_place = false;            // the directory has the result; only the folder was not deleted
  bool changed = false;  // the input that was being read: its beginning must be compared by hash
};

// What a run goes on with: `wanted` has its description and its inputs. Inputs of which nothing was
// read may be others; where one that was read is another one or missing, the earlier moment serves
// if it can. Work of another run, or damaged work, is an error (usage, data) that leaves it as it
// is; with `anew` it is deleted, as is any work where the input cannot be read from its start once
// more.
FoundWork find_work(WorkFolder& folder, const fs::path& directory, const BuildState& wanted,
                    bool anew, bool can_read_again);

// For damage that is found later: fails likewise, or deletes the work.
void drop_damaged(WorkFolder& folder, const Error& damage, bool anew);

}  // namespace mythos
