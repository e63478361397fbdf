#pragma once
#include <string_view>

#include "base/files.h"

namespace mythos {

// Appends everything that is logged from now on to a file as well, each line behind its time
// (ISO 8601), whatever the level of stderr. Fails (resources) if the file cannot be opened.
void log_to_file(const fs::path& path);
// Ends that; nothing if it did not begin.
void end_log_file();
// A line for the file alone; nothing without one.
void log_file_line(std::string_view line);

}  // namespace mythos
