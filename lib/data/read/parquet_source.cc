#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/plugin.h"
#include "base/strings.h"
#include "data/read/byte_stream.h"
#include "data/read/parquet_plugin.h"
#include "data/read/sources.h"

namespace mythos {
namespace {

// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return number_; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

OpenParquetFile* opener(const std::string& name) {
  static constexpr const char* kLibrary = "libmythos_parquet.so";
  static const std::string kAdvice = "Convert the file to JSON lines, or ";
  const fs::path library = find_plugin(kLibrary);
  if (library.empty()) {
    fail(ErrorKind::data,
         name + ": this installation does not read Parquet: " + kLibrary + " is missing.",
         kAdvice + "run ./bootstrap and build again.");
  }
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* function = handle ? dlsym(handle, kOpenParquetFile) : nullptr;
  if (!function) {
    fail(ErrorKind::data, name + ": the library for Parquet does not load: " + dlerror(),
         kAdvice + "run ./bootstrap and build again.");
  }
  return reinterpret_cast<OpenParquetFile*>(function);
}

[[noreturn]] void fail_spool(const std::string& name, const fs::path& folder) {
  fail(ErrorKind::resources,
       strprintf("cannot copy %s to a file in %s: %s", name, folder, std::strerror(errno)));
}

// Copies a stream to a file without a name.
Descriptor spool(ByteStream& stream, const std::string& stream_name) {
  const char* chosen = getenv("TMPDIR");
  const std::string folder = chosen && *chosen ? chosen : "/tmp";
  std::string name = folder + "/mythos-parquet-XXXXXX";
  Descriptor file(mkostemp(name.data(), O_CLOEXEC));
  if (file.get() < 0) fail_spool(stream_name, folder);
  unlink(name.c_str());
  std::string chunk(1 << 20, '\0');
  while (const size_t size = stream.read(chunk)) {
    for (size_t written = 0; written < size;) {
      const ssize_t got = write(file.get(), chunk.data() + written, size - written);
      if (got < 0 && errno != EINTR) fail_spool(stream_name, folder);
      if (got > 0) written += static_cast<size_t>(got);
    }
  }
  return file;
}

// Opens the file itself, or a copy of an input that does not allow random access: a pipe, a
// terminal, a device.
Descriptor open_seekable(const std::string& path, ByteStream& stream) {
  struct stat status = {};
  const bool is_input = path == "-";
  if ((is_input ? fstat(STDIN_FILENO, &status) : stat(path.c_str(), &status)) != 0 ||
      !S_ISREG(status.st_mode)) {
    return spool(stream, input_name(path));
  }
  Descriptor file(is_input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                           : open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() >= 0) return file;
  fail(ErrorKind::data, strprintf("cannot open %s: %s", path, std::strerror(errno)));
}

// Refuses a file that is plainly not a whole Parquet file, in clearer words than the library's.
void check_ends(const Descriptor& file, const std::string& name, uint64_t size_bytes) {
  constexpr std::string_view kMagic = "PAR1";
  constexpr uint64_t kLeastBytes = 12;
  char begin[4] = {}, end[4] = {};
  const auto read_at = [&](char* out, uint64_t at) {
    return pread(file.get(), out, 4, static_cast<off_t>(at)) == 4;
  };
  if (!read_at(begin, 0) || std::string_view(begin, 4) != kMagic) {
    fail(ErrorKind::data, name + ": byte 0: not a Parquet file (expected PAR1)");
  }
  if (size_bytes < kLeastBytes || !read_at(end, size_bytes - 4) ||
      std::string_view(end, 4) != kMagic) {
    fail(ErrorKind::data, strprintf("%s: byte %u: the Parquet file is cut off: expected PAR1 in "
                                    "its last 4 bytes",
                                    name, size_bytes));
  }
}

class ParquetSource : public DocumentSource {
 public:
  ParquetSource(const std::string& path, ByteStream& stream, const ReaderOptions& options,
                RowLog& rows)
      : name_(input_name(path)), options_(options), rows_(rows) {
    Descriptor file = open_seekable(path, stream);
    struct stat status = {};
    fstat(file.get(), &status);
    size_bytes_ = static_cast<uint64_t>(status.st_size);
    check_ends(file, name_, size_bytes_);
    OpenParquetFile* open_file = opener(name_);
    guarded("damaged metadata: ", [&] {
      file_.reset(open_file(file.release()));
      row_groups_ = file_->row_groups();
    });
    choose_columns();
  }

  bool next(std::string& document) override {
    while (enter_row_group()) {
      if (!read_row()) continue;
      document = *row_.text;
      return true;
    }
    return false;
  }

  uint64_t skip(uint64_t documents) override {
    uint64_t skipped = 0;
    while (skipped < documents && enter_row_group()) {
      if (nulls_ == 0 && options_.min_scores.empty()) {
        const uint64_t rows = std::min(documents - skipped, group_rows_ - row_number_);
        // A row group that is skipped as a whole is not read.
        if (row_number_ + rows < group_rows_) in_group([&] { file_->skip(rows); });
        row_number_ += rows;
        skipped += rows;
      } else {
        skipped += read_row();
      }
    }
    return skipped;
  }

  uint64_t stored_bytes() const override {
    if (!file_ || group_ >= row_groups_) return size_bytes_;
    if (group_ < 0) return 0;
    const double done = static_cast<double>(row_number_) / static_cast<double>(group_rows_);
    const auto size = static_cast<double>(group_end_ - group_begin_);
    return group_begin_ + static_cast<uint64_t>(done * size);
  }

 private:
  template <class Action>
  void guarded(const std::string& place, const Action& action) const {
    try {
      action();
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& error) {
      fail(ErrorKind::data, name_ + ": " + place + escaped(trim(error.what()), 300));
    }
  }
  template <class Action>
  void in_group(const Action& action) const {
    guarded(strprintf("row group %d: ", group_), action);
  }

  void choose_columns() {
    const std::vector<std::string> columns = file_->columns();
    const auto index = [&](const std::string& name) {
      const auto found = std::find(columns.begin(), columns.end(), name);
      if (found == columns.end()) {
        fail(ErrorKind::data, name_ + ": no column '" + name + "'; the file has: " +
                                  join(columns, ", ") + "." + did_you_mean(name, columns));
      }
      return static_cast<int>(found - columns.begin());
    };
    text_ = index(options_.field);
    std::vector<int> numbers;
    for (const MinScore& score : options_.min_scores) numbers.push_back(index(score.field));
    guarded("", [&] { file_->choose(text_, numbers); });
  }

  // Moves on to a row group with rows left. Returns false if there is none.
  bool enter_row_group() {
    while (file_) {
      options_.stop.throw_if_stopped();
      if (group_ >= 0 && row_number_ < group_rows_) return true;
      rows_before_ += group_rows_;
      row_number_ = group_rows_ = 0;
      if (++group_ >= row_groups_) {
        file_.reset();
        return false;
      }
      in_group([&] { start_row_group(); });
    }
    return false;
  }

  void start_row_group() {
    group_rows_ = file_->rows(group_);
    group_begin_ = std::min(file_->offset_bytes(group_), size_bytes_);
    group_end_ = group_ + 1 < row_groups_
                     ? std::clamp(file_->offset_bytes(group_ + 1), group_begin_, size_bytes_)
                     : size_bytes_;
    nulls_ = file_->nulls(group_, text_);
    file_->start(group_);
  }

  // Reads the next row of the row group and returns whether it gives a document.
  bool read_row() {
    in_group([&] { file_->next(row_); });
    ++row_number_;
    if (!row_.text) return malformed(options_.field);
    bool high = true;
    for (size_t i = 0; i < row_.numbers.size(); ++i) {
      const MinScore& score = options_.min_scores[i];
      if (!row_.numbers[i]) return malformed(score.field);
      high = high && *row_.numbers[i] >= score.minimum;
    }
    if (!high) rows_.low_score();
    return high;
  }

  bool malformed(const std::string& column) {
    rows_.malformed([&] {
      return strprintf("%s: row %u: column '%s' is null", name_, rows_before_ + row_number_,
                       column);
    });
    return false;
  }

  std::string name_;
  const ReaderOptions& options_;
  RowLog& rows_;
  std::unique_ptr<ParquetFile> file_;  // null at the end
  uint64_t size_bytes_ = 0, rows_before_ = 0;
  int row_groups_ = 0, group_ = -1, text_ = 0;
  // Rows of the row group at hand, and those that were taken.
  uint64_t group_rows_ = 0, row_number_ = 0;
  uint64_t group_begin_ = 0, group_end_ = 0;
  std::optional<uint64_t> nulls_;
  ParquetRow row_;
};

}  // namespace

std::unique_ptr<DocumentSource> open_parquet(const std::string& path,
                                             std::unique_ptr<ByteStream> stream,
                                             const ReaderOptions& options, RowLog& rows) {
  if (!stream->compression().empty()) {
    fail(ErrorKind::data, input_name(path) + ": Parquet inside " +
                              std::string(stream->compression()) +
                              " is not read; decompress the file first (Parquet compresses by "
                              "itself)");
  }
  return std::make_unique<ParquetSource>(path, *stream, options, rows);
}

}  // namespace mythos
