#include <algorithm>
#include <cstdlib>
#include <tuple>

#include "base/error.h"
#include "base/pointer_file.h"
#include "base/strings.h"
#include "config/apply.h"
#include "config/config_toml.h"

namespace mythos {
namespace {

constexpr std::string_view kSuffix = ".toml";

class Loader {
 public:
  Config config;

  void text(std::string_view toml, const std::string& origin, const fs::path& folder) {
    const TomlDocument document = read_toml(toml, origin);
    for (const std::string& name : document.extends) {
      extend(name, document.extends_where, folder);
    }
    for (const Entry& entry : document.entries) apply(config, entry);
  }

  void file(const fs::path& path) {
    open_.push_back(fs::weakly_canonical(path));
    const std::string content = read_file(path);
    refuse_pointer(path, content);
    text(content, path.string(), path.parent_path());
    open_.pop_back();
  }

 private:
  void extend(const std::string& name, const std::string& where, const fs::path& folder) {
    const bool is_path = name.ends_with(kSuffix);
    const fs::path path =
        is_path ? folder / name : preset_directory() / (name + std::string(kSuffix));
    if (!fs::is_regular_file(path)) {
      fail(ErrorKind::usage, where + ": extends = \"" + name + "\": " +
                                 (is_path ? "there is no file " + path.string()
                                          : "there is no such preset." + hint(name)));
    }
    if (std::ranges::find(open_, fs::weakly_canonical(path)) != open_.end()) {
      fail(ErrorKind::usage,
           where + ": extends = \"" + name + "\": the files extend each other in a circle");
    }
    file(path);
  }

 public:
  static std::string hint(const std::string& name) {
    std::vector<std::string> names;
    for (const PresetInfo& preset : list_presets()) names.push_back(preset.name);
    return did_you_mean(name, names) + " 'mythos presets list' shows them all.";
  }

 private:
  std::vector<fs::path> open_;
};

Config validated(const Config& config, const std::string& origin) {
  try {
    config.validate();
  } catch (const Error& error) {
    fail(error.kind(), origin + ": " + error.message(), error.advice());
  }
  return config;
}

std::string first_comment(const fs::path& path) {
  const std::string text = read_file(path);
  const std::string_view line = trim(std::string_view(text).substr(0, text.find('\n')));
  return line.starts_with("#") ? std::string(trim(line.substr(1))) : "";
}

// Order of the list: laptop sizes, then mythos-*, then openmythos-*; within them by the size in the
// name ("10b" is 10, "1t" is 1000; a name with more behind the size is a small variant of it).
auto sort_key(const std::string& name) {
  const int family = name.starts_with("openmythos-") ? 2 : name.starts_with("mythos-") ? 1 : 0;
  const std::string size = name.substr(name.rfind('-') + 1);
  int64_t billions = 0;
  if (const auto number = parse_int(size.substr(0, size.size() - 1))) {
    billions = size.back() == 't' ? 1000 * *number : *number;
  }
  return std::tuple(family, billions, name.find('-') != std::string::npos, name);
}

}  // namespace

Config parse_config(std::string_view toml, const std::string& origin) {
  Loader loader;
  loader.text(toml, origin, fs::path(origin).parent_path());
  return validated(loader.config, origin);
}

Config load_config_file(const fs::path& path) {
  if (!fs::is_regular_file(path)) {
    fail(ErrorKind::usage,
         "no configuration file " + path.string() + ". For a preset, give its name to --preset.");
  }
  Loader loader;
  loader.file(path);
  return validated(loader.config, path.string());
}

Config load_preset(const std::string& name) {
  if (name.ends_with(kSuffix) || name.find('/') != std::string::npos) {
    fail(ErrorKind::usage, "preset '" + name + "' looks like a file; use --config for files");
  }
  const fs::path path = preset_directory() / (name + std::string(kSuffix));
  if (!fs::is_regular_file(path)) {
    fail(ErrorKind::usage, "unknown preset '" + name + "'." + Loader::hint(name));
  }
  return load_config_file(path);
}

fs::path preset_directory() {
  if (const char* named = std::getenv("MYTHOS_PRESETS"); named && *named) {
    if (!fs::is_directory(named)) {
      fail(ErrorKind::usage, std::string("MYTHOS_PRESETS = ") + named + " is not a directory");
    }
    return named;
  }
  std::error_code status;
  const fs::path here = fs::read_symlink("/proc/self/exe", status).parent_path();
  for (const fs::path& up : {here.parent_path(), here.parent_path().parent_path()}) {
    const fs::path installed = up / "share" / "mythos" / "presets";
    if (fs::is_directory(installed, status)) return installed;
  }
  if (fs::is_directory(MYTHOS_SOURCE_PRESETS, status)) return MYTHOS_SOURCE_PRESETS;
  fail(ErrorKind::usage, "found no presets beside " + here.string() +
                             " (../share/mythos/presets); name their directory in MYTHOS_PRESETS");
}

std::vector<PresetInfo> list_presets() {
  std::vector<PresetInfo> presets;
  for (const auto& entry : fs::directory_iterator(preset_directory())) {
    if (entry.path().extension() != kSuffix) continue;
    presets.push_back({entry.path().stem().string(), first_comment(entry.path()), entry.path()});
  }
  std::ranges::sort(presets, {}, [](const PresetInfo& preset) { return sort_key(preset.name); });
  return presets;
}

}  // namespace mythos
