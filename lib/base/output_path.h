#pragma once
#include <filesystem>
#include <optional>

namespace mythos {

namespace fs = std::filesystem;

// What a command makes under the name that it is given.
enum class OutputKind {
  file,       // one file; a device, a pipe or an open descriptor such as /dev/stdout serves as well
  directory,  // a whole directory, which takes the place of one that is there
  contents,   // files in a directory, which may be there
};

// Tells before a long job what would keep it from writing its output at the end: a missing parent
// of a file, a parent that takes no new names (permissions, a file system that is read-only or
// full), a directory where a file is to be or the reverse, a name that is too long, a mount point,
// which cannot be replaced. Whether something that exists may be replaced is the caller's question.
// Missing parents of directories are made by the job and must be possible.
// Fails with a sentence: usage for a name that cannot serve, data where the parent is missing,
// resources where the system refuses.
void check_output(const fs::path& name, OutputKind kind);

// The name behind symbolic links, without a slash at its end: what is finished takes the place of
// the links' target, and the links stay. The last link may lead to a free name. Fails (usage) on
// links that lead in a circle.
fs::path followed(fs::path name);

// A device, a pipe or a socket, or a descriptor of a process such as /dev/stdout: output goes into
// it as it comes.
bool is_stream(const fs::path& name);

// Opens a stream for writing, which for a descriptor of this process means a duplicate, so that
// both go on at one place of the file. Fails like OutputFile.
int open_stream(const fs::path& name);

// Fails after a system call that was to write to `path` by what errno says: usage for a name that
// cannot serve, data for a missing folder, resources for all else.
[[noreturn]] void fail_write(const char* action, const fs::path& path);

}  // namespace mythos
