#include "base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"
#include "base/output_path.h"
#include "base/strings.h"

namespace mythos {
namespace {

constexpr size_t kBufferBytes = 1 << 20;
// The most that read_file takes from a pipe or device, as some never end.
constexpr size_t kMostFromDevice = size_t{1} << 30;
constexpr std::string_view kUnfinished = ".unfinished";

[[noreturn]] void fail_errno(ErrorKind kind, const char* action, const fs::path& path) {
  const int code = errno;
  fail(kind, strprintf("%s %s: %s", action, path, std::strerror(code)));
}

fs::path unfinished_name(const fs::path& path) {
  return hidden_beside(path, strprintf(".%d", getpid()) + std::string(kUnfinished));
}

// Replaces a directory on a file system that cannot exchange two names: for a moment there is
// nothing under the final name.
void replace_in_two_steps(const fs::path& from, const fs::path& to) {
  std::error_code status;
  const fs::path old = unfinished_name(to.string() + ".old");
  fs::remove_all(old, status);
  if (rename(to.c_str(), old.c_str()) != 0) fail_write("cannot replace", to);
  if (rename(from.c_str(), to.c_str()) != 0) fail_write("cannot rename into place", to);
  fs::remove_all(old, status);
}

}  // namespace

std::string message_of(const fs::filesystem_error& error) {
  return "cannot use " + error.path1().string() + ": " + error.code().message();
}

std::string read_file(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_errno(ErrorKind::data, "cannot open", path);
  std::string content;
  std::string chunk(kBufferBytes, '\0');
  while (true) {
    const ssize_t got = read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int code = errno;
      close(fd);
      errno = code;
      fail_errno(ErrorKind::data, "cannot read", path);
    }
    if (got == 0) break;
    content.append(chunk.data(), static_cast<size_t>(got));
    if (content.size() > kMostFromDevice && !fs::is_regular_file(path)) {
      close(fd);
      fail(ErrorKind::data, path.string() + ": no end after " +
                                human_bytes(static_cast<double>(kMostFromDevice)) +
                                "; this is no regular file");
    }
  }
  close(fd);
  return content;
}

OutputFile::OutputFile(int fd, fs::path shown_as, uint64_t size_bytes)
    : shown_as_(std::move(shown_as)), fd_(fd), size_bytes_(size_bytes) {}

OutputFile::OutputFile(const fs::path& path, fs::path shown_as)
    : shown_as_(shown_as.empty() ? path : std::move(shown_as)) {
  fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_write("cannot create", shown_as_);
}

OutputFile OutputFile::into_stream(const fs::path& path) {
  return OutputFile(open_stream(path), path, 0);
}

OutputFile OutputFile::go_on(const fs::path& path, uint64_t size_bytes) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) fail_errno(ErrorKind::data, "cannot open", path);
  OutputFile file(fd, path, size_bytes);
  const auto wanted = static_cast<off_t>(size_bytes);
  const off_t found = lseek(fd, 0, SEEK_END);
  if (found < wanted) {
    fail(ErrorKind::data,
         strprintf("%s: expected at least %d bytes, found %d", path, wanted, found));
  }
  if (ftruncate(fd, wanted) != 0 || lseek(fd, wanted, SEEK_SET) != wanted)
    fail_write("cannot write", path);
  return file;
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : shown_as_(std::move(other.shown_as_)),
      fd_(std::exchange(other.fd_, -1)),
      size_bytes_(other.size_bytes_),
      buffer_(std::move(other.buffer_)) {}

void OutputFile::write_through(const char* data, size_t left) {
  while (left > 0) {
    const ssize_t put = ::write(fd_, data, left);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail_write("cannot write", shown_as_);
    data += put;
    left -= static_cast<size_t>(put);
  }
}

void OutputFile::write(const void* data, size_t size_bytes) {
  size_bytes_ += size_bytes;
  if (buffer_.size() + size_bytes >= kBufferBytes) flush();
  if (size_bytes >= kBufferBytes) return write_through(static_cast<const char*>(data), size_bytes);
  buffer_.append(static_cast<const char*>(data), size_bytes);
}

void OutputFile::flush() {
  write_through(buffer_.data(), buffer_.size());
  buffer_.clear();
}

void OutputFile::sync() {
  flush();
  if (fsync(fd_) != 0) fail_write("cannot write", shown_as_);
}

void OutputFile::close() {
  flush();
  if (::close(std::exchange(fd_, -1)) != 0) fail_write("cannot write", shown_as_);
}

AtomicFile::AtomicFile(const fs::path& path)
    : path_(followed(path)),
      temporary_(is_stream(path) ? fs::path() : unfinished_name(path_)),
      file_(temporary_.empty() ? OutputFile::into_stream(path) : OutputFile(temporary_, path)) {}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::commit() {
  if (temporary_.empty()) return file_.close();
  file_.sync();
  file_.close();
  if (rename(temporary_.c_str(), path_.c_str()) != 0) fail_write("cannot rename into place", path_);
  temporary_.clear();
  sync_directory(path_.parent_path());
}

void write_file_atomic(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

AtomicDirectory::AtomicDirectory(const fs::path& path)
    : final_(followed(path)), temporary_(unfinished_name(final_)) {
  std::error_code status;
  fs::remove_all(temporary_, status);
  if (final_.has_parent_path()) fs::create_directories(final_.parent_path(), status);
  if (mkdir(temporary_.c_str(), 0777) != 0) fail_write("cannot create directory", final_);
}

AtomicDirectory::~AtomicDirectory() {
  if (done_) return;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

void AtomicDirectory::commit() {
  move_directory(temporary_, final_);
  done_ = true;
  // After an exchange the old directory has the temporary name.
  std::error_code status;
  fs::remove_all(temporary_, status);
}

void move_directory(const fs::path& from, const fs::path& name) {
  const fs::path to = followed(name);
  sync_directory(from);
  std::error_code status;
  if (!fs::exists(to, status)) {
    if (rename(from.c_str(), to.c_str()) != 0) fail_write("cannot rename into place", to);
  } else if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) != 0) {
    replace_in_two_steps(from, to);
  }
  sync_directory(to.parent_path());
}

fs::path hidden_beside(const fs::path& path, const std::string& suffix) {
  constexpr size_t kMostBytes = 255, kKeptBytes = 150;
  std::string name = "." + path.filename().string();
  if (name.size() + suffix.size() > kMostBytes)
    name = name.substr(0, kKeptBytes) + "." + checksum(name);
  return path.parent_path() / (name + suffix);
}

bool is_unfinished(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with(".") && name.ends_with(kUnfinished);
}

void sync_directory(const fs::path& directory) {
  const fs::path path = directory.empty() ? fs::path(".") : directory;
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail_write("cannot open", path);
  // Some file systems refuse to sync a directory; what was renamed in it stays renamed.
  if (fsync(fd) != 0 && errno != EINVAL && errno != EROFS) {
    const int code = errno;
    close(fd);
    errno = code;
    fail_write("cannot sync", path);
  }
  close(fd);
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_errno(ErrorKind::data, "cannot open", path);
  struct stat status = {};
  if (fstat(fd, &status) != 0 || S_ISDIR(status.st_mode)) {
    if (S_ISDIR(status.st_mode)) errno = EISDIR;
    const int code = errno;
    close(fd);
    errno = code;
    fail_errno(ErrorKind::data, "cannot read", path);
  }
  size_ = static_cast<size_t>(status.st_size);
  if (size_ > 0) {
    void* map = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
      const int code = errno;
      close(fd);
      errno = code;
      fail_errno(ErrorKind::resources, "cannot map", path);
    }
    data_ = static_cast<const std::byte*>(map);
  }
  close(fd);
}

MappedFile::~MappedFile() {
  if (data_) munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(other.data_), size_(other.size_) {
  other.data_ = nullptr;
  other.size_ = 0;
}

uint64_t checksum64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::vector<std::string> file_labels(const std::vector<std::string>& paths) {
  std::vector<std::string> names;
  for (const std::string& path : paths) names.push_back(shown(fs::path(path).filename().string()));
  const std::set<std::string> different(names.begin(), names.end());
  if (different.size() == names.size()) return names;
  std::transform(paths.begin(), paths.end(), names.begin(), [](const auto& p) { return shown(p); });
  return names;
}

std::string checksum(std::span<const std::byte> bytes) {
  return strprintf("%016x", checksum64(bytes));
}

std::string checksum(std::string_view text) {
  return checksum(std::as_bytes(std::span(text.data(), text.size())));
}

struct Checksum::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

Checksum::Checksum() : state_(std::make_unique<State>()) {
  XXH3_64bits_reset(state_->xxh);
}
Checksum::~Checksum() = default;

void Checksum::update(const void* data, size_t size_bytes) {
  XXH3_64bits_update(state_->xxh, data, size_bytes);
}

uint64_t Checksum::value() const {
  return XXH3_64bits_digest(state_->xxh);
}

std::string Checksum::hex() const {
  return strprintf("%016x", value());
}

}  // namespace mythos
