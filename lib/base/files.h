#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

namespace fs = std::filesystem;

// Every function of this header fails with an Error that names the path: `data` when something is
// missing or cannot be read, `resources` when the disk is full or refuses to write.

// The reason in an exception of std::filesystem, in the words of this project's errors.
std::string message_of(const fs::filesystem_error& error);

// The content of a file. A pipe or device is read to its end, which must come within 1 GiB, else it
// fails (data).
std::string read_file(const fs::path& path);

// A file that is written from front to back under its own name; go_on() can continue it later.
class OutputFile {
 public:
  // Creates or empties the file. Errors name `shown_as` if it is given, else `path`.
  explicit OutputFile(const fs::path& path, fs::path shown_as = {});
  // Writes into a device, a pipe or a descriptor (is_stream(), output_path.h).
  static OutputFile into_stream(const fs::path& path);
  // Keeps the first `size_bytes` of an existing file, cuts off the rest and writes on from there.
  // Fails (data) when the file is missing or shorter.
  static OutputFile go_on(const fs::path& path, uint64_t size_bytes);
  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;

  void write(const void* data, size_t size_bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  uint64_t size_bytes() const { return size_bytes_; }  // written so far, buffered or not
  void flush();                                        // then readers of the file see it all
  void sync();                                         // then it survives a loss of power
  void close();

 private:
  OutputFile(int fd, fs::path shown_as, uint64_t size_bytes);
  void write_through(const char* data, size_t size_bytes);

  fs::path shown_as_;
  int fd_ = -1;
  uint64_t size_bytes_ = 0;
  std::string buffer_;
};

// A file that appears under its name whole or not at all. It is written under a hidden name in the
// same folder; commit() syncs and renames it, and without commit() the destructor removes it.
// Symbolic links stay, and the file that they lead to is replaced. A path that is no file, such as
// a pipe or /dev/stdout, is written into directly.
class AtomicFile {
 public:
  explicit AtomicFile(const fs::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t size_bytes) { file_.write(data, size_bytes); }
  void write(std::string_view text) { file_.write(text); }
  uint64_t size_bytes() const { return file_.size_bytes(); }
  void commit();

 private:
  fs::path path_, temporary_;
  OutputFile file_;
};

// Writes a whole small file through AtomicFile.
void write_file_atomic(const fs::path& path, std::string_view content);

// A directory that appears under its name whole or not at all: fill path(), then commit(). Symbolic
// links are followed and missing parents are made. An existing directory of that name is replaced,
// in one step if the file system can exchange two names.
class AtomicDirectory {
 public:
  explicit AtomicDirectory(const fs::path& path);
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  const fs::path& path() const { return temporary_; }
  void commit();

 private:
  fs::path final_, temporary_;
  bool done_ = false;
};

// Moves a directory to a name on the same file system, as AtomicDirectory::commit() does; symbolic
// links at `name` are followed. If a directory of that name was there, it may lie under `from`
// afterwards.
void move_directory(const fs::path& from, const fs::path& name);

// The path ".NAME" + suffix in the folder of `path`. If NAME is too long for that, its beginning
// and its checksum stand for it.
fs::path hidden_beside(const fs::path& path, const std::string& suffix);

// Whether `path` has a name that AtomicFile or AtomicDirectory gives to unfinished work.
bool is_unfinished(const fs::path& path);

void sync_directory(const fs::path& directory);

// A file mapped for reading. Throws (data) when it cannot be opened.
class MappedFile {
 public:
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Labels that tell paths apart in a table, made printable by shown(): the file names alone if they
// all differ, else the whole paths.
std::vector<std::string> file_labels(const std::vector<std::string>& paths);

// XXH3-64 as 16 hexadecimal digits: the checksum of every file format of this project.
std::string checksum(std::span<const std::byte> bytes);
std::string checksum(std::string_view text);
uint64_t checksum64(std::span<const std::byte> bytes);

// checksum() over content that comes in pieces.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  void update(const void* data, size_t size_bytes);
  uint64_t value() const;
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mythos
