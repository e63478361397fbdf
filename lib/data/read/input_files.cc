#include "data/read/input_files.h"

#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "data/read/byte_stream.h"
#include "data/read/input_format.h"

namespace mythos {
namespace {

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with(".");
}

// The ending of a name in lower case, with that of a compression that can be read: ".bz2" of
// "dump.JSONL.bz2", ".csv.gz" of "table.csv.gz".
std::string ending(const fs::path& path) {
  const std::string name = lower_ascii(path.filename().string());
  const std::string plain(split_compression(name).path);
  const std::string last = fs::path(plain).extension().string() + name.substr(plain.size());
  return last.empty() ? "without an ending" : escaped(last, 20);
}

// Finds all files below a directory, except hidden ones.
class DirectoryWalk {
 public:
  void add(const fs::path& directory) {
    std::error_code error;
    std::vector<fs::directory_entry> entries;
    fs::directory_iterator entry(directory, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      if (!is_hidden(entry->path())) entries.push_back(*entry);
    }
    if (error) {
      fail(ErrorKind::data, strprintf("cannot read directory %s: %s", directory, error.message()));
    }
    std::sort(entries.begin(), entries.end());
    for (const fs::directory_entry& found : entries) add_entry(found);
  }

  std::vector<std::string> files;  // files whose names tell what they hold
  uint64_t left_out() const { return left_out_; }
  // The files that were left out, for a message: ".png (2), without an ending (1), such as a.png,
  // LICENSE, b.png".
  std::string left_out_text() const {
    std::vector<std::pair<uint64_t, std::string>> kinds;
    for (const auto& [kind, number] : left_out_kinds_) kinds.emplace_back(number, kind);
    std::stable_sort(kinds.begin(), kinds.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<std::string> parts;
    for (const auto& [number, kind] : kinds) {
      if (parts.size() == kMostKinds) break;
      parts.push_back(kind + " (" + with_commas(number) + ")");
    }
    if (kinds.size() > kMostKinds) parts.emplace_back("others");
    return join(parts, ", ") + ", such as " + join(first_names_, ", ");
  }

 private:
  static constexpr size_t kMostKinds = 6, kMostNames = 3;

  void add_entry(const fs::directory_entry& entry) {
    std::error_code entry_error, ignored;
    const fs::file_status status = entry.status(entry_error);
    const bool is_link = entry.is_symlink(ignored);
    const bool known = format_by_name(entry.path().native()).has_value();
    if (fs::is_directory(status)) {
      is_link ? leave_out(entry, "links to directories") : add(entry.path());
    } else if (fs::is_regular_file(status)) {
      known ? files.push_back(entry.path()) : leave_out(entry, ending(entry.path()));
    } else if (fs::exists(status)) {
      leave_out(entry, "neither files nor directories");
    } else if (!is_link) {
      fail(ErrorKind::data, strprintf("cannot read %s: %s", entry.path(), entry_error.message()));
    } else if (known) {
      fail(ErrorKind::data, entry.path().string() +
                                ": the link leads nowhere. Fetch the file that it names, or remove "
                                "the link.");
    } else {
      leave_out(entry, "links that lead nowhere");
    }
  }

  void leave_out(const fs::directory_entry& entry, const std::string& kind) {
    ++left_out_;
    ++left_out_kinds_[kind];
    if (first_names_.size() < kMostNames) {
      first_names_.push_back(escaped(entry.path().filename().string()));
    }
  }

  uint64_t left_out_ = 0;
  std::map<std::string, uint64_t> left_out_kinds_;
  std::vector<std::string> first_names_;
};

void add_directory(const std::string& directory, std::vector<std::string>& files) {
  DirectoryWalk walk;
  walk.add(directory);
  if (walk.files.empty()) {
    fail(ErrorKind::data,
         directory + ": the directory holds no input: no " + known_names() +
             ", also compressed as .zst, .gz or .xz" +
             (walk.left_out() > 0 ? "; it holds " + walk.left_out_text() : "") + ".",
         "Files of other names must be named themselves.");
  }
  if (walk.left_out() > 0) {
    log_info(directory + ": left out " + with_commas(walk.left_out()) + ": " +
             walk.left_out_text() + "; files are read where they are named themselves");
  }
  std::sort(walk.files.begin(), walk.files.end());
  files.insert(files.end(), walk.files.begin(), walk.files.end());
}

std::vector<std::string> matches(const std::string& pattern) {
  glob_t result = {};
  const int status = glob(pattern.c_str(), 0, nullptr, &result);
  std::vector<std::string> names(result.gl_pathv, result.gl_pathv + result.gl_pathc);
  globfree(&result);
  if (status == GLOB_NOMATCH) fail(ErrorKind::data, "no file matches the pattern " + pattern);
  if (status != 0) fail(ErrorKind::data, "cannot read the directories of the pattern " + pattern);
  std::sort(names.begin(), names.end());
  return names;
}

void add_path(const std::string& path, std::vector<std::string>& files) {
  std::error_code ignored;
  if (path != "-" && fs::is_directory(path, ignored)) {
    add_directory(path, files);
  } else {
    files.push_back(path);
  }
}

void warn_of_repeated(const std::vector<std::string>& files) {
  std::set<std::pair<dev_t, ino_t>> known;
  uint64_t repeated = 0;
  std::string first;
  for (const std::string& path : files) {
    struct stat status = {};
    if (path == "-" || stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if (!known.emplace(status.st_dev, status.st_ino).second && repeated++ == 0) first = path;
  }
  if (repeated == 0) return;
  log_warning(first + (repeated == 1 ? "" : strprintf(" and %u more", repeated - 1)) +
              ": named more than once, and read each time; --dedup keeps each text once");
}

}  // namespace

std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs) {
  std::vector<std::string> files;
  for (const std::string& input : inputs) {
    std::error_code ignored;
    if (input == "-" || fs::exists(input, ignored)) {
      add_path(input, files);
    } else if (input.find_first_of("*?[") == std::string::npos) {
      fail(ErrorKind::data, "cannot open " + input + ": no such file");
    } else {
      for (const std::string& name : matches(input)) add_path(name, files);
    }
  }
  warn_of_repeated(files);
  return files;
}

std::string describe_files(const std::vector<std::string>& files) {
  std::string out;
  for (const std::string& path : files) {
    std::error_code ignored;
    int64_t size = -1, changed = -1;
    if (path != "-" && fs::is_regular_file(path, ignored)) {
      size = static_cast<int64_t>(fs::file_size(path, ignored));
      changed = fs::last_write_time(path, ignored).time_since_epoch().count();
    }
    out += strprintf("%s %d %d\n", escaped(path, path.size()), size, changed);
  }
  return out;
}

uint64_t total_size_bytes(const std::vector<std::string>& files) {
  uint64_t total = 0;
  for (const std::string& path : files) {
    std::error_code status;
    if (path == "-" || !fs::is_regular_file(path, status)) return 0;
    total += fs::file_size(path, status);
  }
  return total;
}

}  // namespace mythos
