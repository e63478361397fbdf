#pragma once
#include <filesystem>
#include <optional>

namespace mythos {

namespace fs = std::filesystem;

// The kinds of output that a command makes under the name that it is given.
enum class OutputKind {
  file,       // one file; a device, a pipe or an open descriptor such as /dev/stdout serves as well
  directory,  // a whole directory, which takes the place of one that is there
  contents,   // files in a directory, which may be there
};

// Finds before a long job what would keep it from writing its output at the end: a file's missing
// parent, a parent that takes no new names (permissions, a read-only or full file system), a
// directory in the place of a file or the reverse, a name that is too long, or a mount point, which
// cannot be replaced. The job makes the missing parents of a directory, so it must be possible to
// make them. Whether existing output may be replaced is for the caller to ask.
// Fails with `usage` for a name that cannot serve, with `data` if a parent is missing, and with
// `resources` if the system refuses.
void check_output(const fs::path& name, OutputKind kind);

// The name that symbolic links lead to, without a slash at its end: finished output takes the place
// of the links' target, and the links stay. The last link may lead to a free name. Fails (usage) on
// links that lead in a circle.
fs::path followed(fs::path name);

// Whether `name` is a device, a pipe, a socket, or a descriptor of a process such as /dev/stdout:
// output is written into it directly.
bool is_stream(const fs::path& name);

// Opens a stream for writing. A descriptor of this process is duplicated, so that both share one
// file position. Fails like OutputFile.
int open_stream(const fs::path& name);

// Fails after a system call could not write to `path`, with the kind that errno tells: usage for a
// name that cannot serve, data for a missing folder, resources for all else.
[[noreturn]] void fail_write(const char* action, const fs::path& path);

}  // namespace mythos
