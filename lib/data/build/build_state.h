#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/error.h"
#include "data/build/work_folder.h"

namespace mythos {

// The state of a build of shards between two documents.
struct BuildMoment {
  uint64_t read_documents = 0, empty_documents = 0;
  uint64_t text_hash = 0;         // hash of the texts of all documents read, in order
  uint64_t read_inputs = 0;       // number of inputs up to the one that the last document came from
  nlohmann::ordered_json writer;  // ShardSetWriter::save()
};

// The saved state of a build of shards.
struct BuildState {
  // Everything that decides the result, under the names that a user knows: only an equal run goes
  // on with the work.
  nlohmann::ordered_json run;
  // The name, size and time of change of each input. Inputs that were read must not change.
  nlohmann::ordered_json inputs;
  BuildMoment now;
  // An earlier moment between two inputs, to go back to if a later input has changed.
  std::optional<BuildMoment> earlier;
  bool complete = false;  // all files are finished and only have to be moved to their places
};

// The member of `run` that identifies the manifest to which the work is to be added.
inline constexpr const char* kDirectoryKey = "the directory's manifest";

// Replaces the state in the folder in one step; the new state survives a loss of power.
void write_build_state(const WorkFolder& folder, const BuildState& state);

struct FoundWork {
  std::optional<BuildState> state;  // nothing: the run starts anew
  // The directory has the result already; only the folder was not deleted.
  bool in_place = false;
  // The input that was being read has changed: its beginning must be compared by hash.
  bool changed = false;
};

// Finds the work in the folder with which a run can go on; `wanted` has the run's description and
// its inputs. Inputs of which nothing was read may have changed. If an input that was read has
// changed or is missing, the run goes on from the earlier moment if that does not need it. Fails
// and leaves the work as it is if it is of another run (usage) or damaged (data). With `anew` such
// work is deleted instead, and so is any work whose input cannot be read from its start once more.
FoundWork find_work(WorkFolder& folder, const fs::path& directory, const BuildState& wanted,
                    bool anew, bool can_read_again);

// Handles damage that is found later as find_work() does: fails, or with `anew` deletes the work.
void drop_damaged(WorkFolder& folder, const Error& damage, bool anew);

}  // namespace mythos
