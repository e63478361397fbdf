#include "data/input_files.h"

#include <glob.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"
#include "data/byte_stream.h"

namespace mythos {
namespace {

struct KnownName {
  std::string_view suffix;
  InputFormat format;
};
constexpr KnownName kKnownNames[] = {
    {".txt", InputFormat::text},
    {".jsonl", InputFormat::jsonl},
    {".ndjson", InputFormat::jsonl},
    {".parquet", InputFormat::parquet},
};

const KnownName* known_name(std::string_view path) {
  const std::string_view plain = split_compression(path).path;
  for (const KnownName& known : kKnownNames) {
    if (plain.ends_with(known.suffix)) return &known;
  }
  return nullptr;
}

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with(".");
}

void add_directory(const std::string& directory, std::vector<std::string>& files) {
  std::vector<std::string> found;
  try {
    for (auto entry = fs::recursive_directory_iterator(directory);
         entry != fs::recursive_directory_iterator(); ++entry) {
      if (is_hidden(entry->path())) {
        entry.disable_recursion_pending();
      } else if (known_name(entry->path().native()) && entry->is_regular_file()) {
        found.push_back(entry->path());
      }
    }
  } catch (const fs::filesystem_error& error) {
    fail(ErrorKind::data, strprintf("cannot read directory %s: %s", error.path1().c_str(),
                                    error.code().message().c_str()));
  }
  if (found.empty()) {
    fail(ErrorKind::data,
         directory +
             ": the directory holds no input: no .txt, .jsonl, .ndjson or .parquet file, also "
             "compressed as .zst, .gz or .xz.\nFiles of other names must be named themselves.");
  }
  std::sort(found.begin(), found.end());
  files.insert(files.end(), found.begin(), found.end());
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
  return files;
}

InputFormat format_by_name(const std::string& path) {
  const KnownName* known = known_name(path);
  return known ? known->format : InputFormat::text;
}

std::string describe_files(const std::vector<std::string>& files) {
  std::string out;
  for (const std::string& path : files) {
    std::error_code ignored;
    long long size = -1, changed = -1;
    if (path != "-" && fs::is_regular_file(path, ignored)) {
      size = static_cast<long long>(fs::file_size(path, ignored));
      changed = fs::last_write_time(path, ignored).time_since_epoch().count();
    }
    out += strprintf("%s %lld %lld\n", escaped(path, path.size()).c_str(), size, changed);
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
