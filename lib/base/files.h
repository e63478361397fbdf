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

// Every failure here is an Error that names the path: `data` when something is missing or cannot be
// read, `resources` when the disk is full or refuses to write.

// What std::filesystem says, in the words of the errors here.
std::string message_of(const fs::filesystem_error& error);

// A pipe or device is read up to 1 GiB; one that goes on fails (data).
std::string read_file(const fs::path& path);

// A file that is written front to back under its own name, which may be gone on with later.
class OutputFile {
 public:
  // Creates or empties the file. Errors name `shown_as` where given.
  explicit OutputFile(const fs::path& path, fs::path shown_as = {});
  // Writes into a device, a pipe or a descriptor, see is_stream().
  static OutputFile into_stream(const fs::path& path);
  // Goes on behind the first `size_bytes` and cuts off what lies behind them. Fails (data) when the
  // file is missing or shorter.
  static OutputFile go_on(const fs::path& path, uint64_t size_bytes);
  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;

  void write(const void* data, size_t size_bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  uint64_t size_bytes() const { return size_bytes_; }  // also of what is still buffered
  void flush();                                        // so that others who open the file see all
  void sync();                                         // so that it survives a loss of power
  void close();

 private:
  OutputFile(int fd, fs::path shown_as, uint64_t size_bytes);
  void write_through(const char* data, size_t size_bytes);

  fs::path shown_as_;
  int fd_ = -1;
  uint64_t size_bytes_ = 0;
  std::string buffer_;
};

// A file that appears under its name whole or not at all: written to a hidden name in the same
// folder, fsynced and renamed by commit(); removed when it goes out of scope without one. Symbolic
// links stay, and the file that they lead to is replaced. What is no file, such as a pipe or
// /dev/stdout, is written into as it comes.
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

// A directory that appears under its name whole or not at all, links followed, as AtomicFile does
// for a file. Parents that are missing are made.
// Fill path(), then commit(). An existing directory of that name is replaced, in one step where the
// file system can exchange two names.
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
// links of that name are followed. Afterwards an old directory may lie under `from`.
void move_directory(const fs::path& from, const fs::path& name);

// ".NAME" and the suffix, in the same folder; of a name that is too long for that, its beginning
// and checksum.
fs::path hidden_beside(const fs::path& path, const std::string& suffix);

// Whether a name is one that AtomicFile or AtomicDirectory gives to unfinished work.
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

// File names to tell paths apart in a table, as shown() gives them: without the folders where all
// names differ.
std::vector<std::string> file_labels(const std::vector<std::string>& paths);

// XXH3-64 as 16 hexadecimal digits, the checksum of every file format here.
std::string checksum(std::span<const std::byte> bytes);
std::string checksum(std::string_view text);
uint64_t checksum64(std::span<const std::byte> bytes);

// The same over pieces.
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
