#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/files.h"

namespace mythos {

// The command line of this process, quoted for a shell.
std::string command_line();

// Adds a session to RUN/run.json, which tells how a run came about: schema "mythos.run/1", the
// configuration (a TOML text) of the newest session, and all sessions in order. `session` has what
// the caller knows; time, host, user's folder, command and version are added. A damaged file is
// begun anew. `fresh`: a run that begins anew keeps no earlier session.
void record_session(const fs::path& run, bool fresh, const std::string& configuration,
                    nlohmann::ordered_json session);

}  // namespace mythos
