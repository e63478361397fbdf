#include "base/output_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"

namespace mythos {
namespace {

constexpr int kMostLinks = 40;  // as many as Linux follows

fs::path without_trailing_slash(fs::path path) {
  return path.has_filename() || !path.has_relative_path() ? path : path.parent_path();
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// The folder of descriptors, such as "/proc/1234/fd", in which the name lies once links are
// followed; empty if it lies elsewhere.
fs::path descriptor_folder(fs::path name, fs::path& entry) {
  std::error_code status;
  for (int links = 0; links < kMostLinks; ++links) {
    const fs::path folder = fs::canonical(folder_of(name), status);
    if (status) return {};
    if (folder.native().starts_with("/proc/") && folder.filename() == "fd") {
      entry = name.filename();
      return folder;
    }
    const fs::path target = fs::read_symlink(name, status);
    if (status) return {};
    name = folder_of(name) / target;
  }
  return {};
}

bool is_mount_point(const fs::path& directory) {
  struct statx found = {};
  if (statx(AT_FDCWD, directory.c_str(), 0, STATX_TYPE, &found) != 0) return false;
  return (found.stx_attributes_mask & found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

// Checks that a new name can be made in the folder by making one, since permissions do not tell of
// read-only file systems, quotas and full disks.
void check_folder(const fs::path& folder, const fs::path& name) {
  const fs::path trial = folder / strprintf(".mythos.%d.unfinished", getpid());
  if (mkdir(trial.c_str(), 0777) != 0 && errno != EEXIST) {
    // The folder exists, so ENOENT is how /proc and its like refuse new names.
    if (errno == ENOENT) {
      fail(ErrorKind::resources,
           strprintf("cannot write %s: %s takes no new files.", name, folder));
    }
    fail_write("cannot write", name);
  }
  rmdir(trial.c_str());
}

void check_kind(const fs::path& name, OutputKind kind, bool is_directory) {
  if (kind == OutputKind::file && is_directory) {
    fail(ErrorKind::usage, name.string() + " is a directory; name a file.");
  }
  if (kind != OutputKind::file && !is_directory) {
    fail(ErrorKind::usage,
         name.string() + " is not a directory; it is left alone. Name another output.");
  }
  if (kind != OutputKind::contents && is_mount_point(name)) {
    fail(ErrorKind::usage, name.string() +
                               " is a mount point, which cannot be replaced. Name another output" +
                               (is_directory ? ", such as a directory inside it." : "."));
  }
}

}  // namespace

void fail_write(const char* action, const fs::path& path) {
  const int code = errno;
  std::string message = strprintf("%s %s: %s", action, path, std::strerror(code));
  if (code == ENOSPC || code == EDQUOT) message += ". Free some space and run the command again.";
  const bool missing = code == ENOENT || code == ENOTDIR;
  const bool unfit = code == ENAMETOOLONG || code == EISDIR || code == ELOOP;
  fail(unfit ? ErrorKind::usage : missing ? ErrorKind::data : ErrorKind::resources, message);
}

fs::path followed(fs::path name) {
  fs::path path = without_trailing_slash(name);
  std::error_code status;
  for (int links = 0; fs::is_symlink(path, status); ++links) {
    if (links == kMostLinks) {
      errno = ELOOP;
      fail_write("cannot write", name);
    }
    const fs::path target = fs::read_symlink(path, status);
    if (status) break;
    path = without_trailing_slash(path.parent_path() / target);
  }
  return path;
}

bool is_stream(const fs::path& name) {
  struct stat found = {};
  if (stat(name.c_str(), &found) != 0 || S_ISDIR(found.st_mode)) return false;
  fs::path entry;
  return !S_ISREG(found.st_mode) || !descriptor_folder(name, entry).empty();
}

int open_stream(const fs::path& name) {
  fs::path entry;
  const fs::path folder = descriptor_folder(name, entry);
  const auto number = parse_int(entry.native());
  const bool ours = folder == "/proc/" + std::to_string(getpid()) + "/fd";
  const int fd = ours && number ? fcntl(static_cast<int>(*number), F_DUPFD_CLOEXEC, 0)
                                : open(name.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) fail_write("cannot write", name);
  return fd;
}

void check_output(const fs::path& name, OutputKind kind) {
  if (name.empty()) fail(ErrorKind::usage, "the name of the output is empty.");
  if (kind == OutputKind::file && is_stream(name)) {
    if (access(name.c_str(), W_OK) != 0) fail_write("cannot write", name);
    return;
  }
  if (kind == OutputKind::file && !name.has_filename()) {
    fail(ErrorKind::usage, name.string() + " names a directory; name a file.");
  }
  const fs::path path = followed(name);
  struct stat found = {};
  const bool exists = lstat(path.c_str(), &found) == 0;
  if (!exists && errno != ENOENT) fail_write("cannot write", name);
  if (exists) check_kind(name, kind, S_ISDIR(found.st_mode));
  if (kind == OutputKind::directory && (path.filename() == "." || path.filename() == "..")) {
    fail(ErrorKind::usage, name.string() + " cannot be replaced; name the directory by its name.");
  }
  fs::path folder = exists && kind == OutputKind::contents ? path : folder_of(path);
  std::error_code status;
  if (kind == OutputKind::file && !fs::exists(folder, status)) {
    fail(ErrorKind::data, folder.string() + ": no such directory for the output " + name.string());
  }
  while (!fs::exists(folder, status)) folder = folder_of(folder);
  check_folder(folder, name);
}

}  // namespace mythos
