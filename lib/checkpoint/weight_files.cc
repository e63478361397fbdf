#include "checkpoint/weight_files.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/json_file.h"
#include "checkpoint/torch_file.h"

namespace mythos {
namespace {

constexpr std::string_view kIndexEnding = ".index.json";

// The kinds of files, in the order in which a directory's are looked for.
constexpr std::string_view kEndings[] = {".safetensors", ".bin", ".pt", ".pth"};

std::vector<fs::path> files_ending(const fs::path& directory, std::string_view ending) {
  std::vector<fs::path> files;
  std::error_code status;
  for (const auto& entry : fs::directory_iterator(directory, status)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(ending) && name[0] != '.') files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

std::string in_quotes(const std::string& name) {
  return strprintf("'%s'", escaped(name));
}

// Joins several faults into one line.
std::string listed(const std::vector<std::string>& faults) {
  constexpr size_t kShown = 8;
  const size_t some = std::min(faults.size(), kShown);
  std::string text = join({faults.begin(), faults.begin() + static_cast<ptrdiff_t>(some)}, "; ");
  if (faults.size() > some) text += strprintf("; and %u more", faults.size() - some);
  return text;
}

// The file name of each tensor's shard.
using WeightMap = std::map<std::string, std::string>;

WeightMap read_index(const fs::path& path) {
  const nlohmann::json json = read_json(path);
  const auto found = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || found == json.end() || !found->is_object() || found->empty()) {
    fail(ErrorKind::data, path.string() +
                              ": not an index of files of weights: it has no \"weight_map\" that "
                              "names a file for each tensor.");
  }
  WeightMap map;
  for (const auto& [tensor, file] : found->items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (name.empty() || fs::path(name).filename() != fs::path(name) || name == "..") {
      fail(ErrorKind::data, path.string() + ": tensor " + in_quotes(tensor) + ": " +
                                escaped(file.dump()) + " is not the name of a file beside it.");
    }
    map[tensor] = name;
  }
  return map;
}

std::set<std::string> shards_of(const WeightMap& map) {
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map) shards.insert(shard);
  return shards;
}

// The files of the set to which NAME-NNNNN-of-MMMMM.safetensors, or .bin, belongs by its name.
std::vector<fs::path> numbered_set(const fs::path& file) {
  constexpr size_t kDigits = 5;
  const std::string ending = file.extension().string(), stem = file.stem().string();
  const size_t tail = 1 + kDigits + 4 + kDigits;  // "-NNNNN-of-MMMMM"
  if (std::ranges::find(kEndings, ending) == std::end(kEndings) || stem.size() <= tail) {
    return {file};
  }
  const std::string part = stem.substr(stem.size() - tail);
  const auto number = [&](size_t at) -> std::optional<int64_t> {
    const std::string digits = part.substr(at, kDigits);
    if (digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
    return parse_int(digits);
  };
  const auto count = number(tail - kDigits);
  if (part[0] != '-' || part.substr(1 + kDigits, 4) != "-of-" || !number(1) || !count) {
    return {file};
  }
  std::vector<fs::path> files;
  for (int64_t i = 1; i <= *count; ++i) {
    files.push_back(file.parent_path() / (stem.substr(0, stem.size() - tail) +
                                          strprintf("-%05d-of-%05d", i, *count) + ending));
  }
  if (std::ranges::find(files, file) == files.end()) return {file};
  return files;
}

struct Source {
  fs::path index;  // empty if there is no index
  WeightMap map;   // of the index
  std::vector<fs::path> files;
};

Source indexed(const fs::path& index) {
  Source source{index, read_index(index), {}};
  for (const std::string& shard : shards_of(source.map)) {
    source.files.push_back(index.parent_path() / shard);
  }
  return source;
}

[[noreturn]] void fail_several(const fs::path& directory, const char* what,
                               const std::vector<fs::path>& files) {
  std::vector<std::string> names;
  for (const fs::path& file : files) names.push_back(escaped(file.filename().string()));
  fail(ErrorKind::usage,
       directory.string() + ": holds several " + what + ": " + join(names, ", ") + ".",
       "Name one of them.");
}

bool is_model_name(const std::string& name) {
  return name.starts_with("pytorch_model") || name.starts_with("model");
}

// PyTorch files of an ending; a directory may hold others than weights, such as training_args.bin.
std::vector<fs::path> torch_files(const fs::path& directory, std::string_view ending) {
  const std::vector<fs::path> files = files_ending(directory, ending);
  std::vector<fs::path> models;
  for (const fs::path& file : files) {
    if (is_model_name(file.filename().string())) models.push_back(file);
  }
  if (models.empty()) models = files;
  std::set<fs::path> whole;
  for (const fs::path& file : models) {
    for (const fs::path& one : numbered_set(file)) whole.insert(one);
  }
  if (models.size() > 1 && numbered_set(models[0]).size() != whole.size()) {
    fail_several(directory, "files of weights", models);
  }
  return {whole.begin(), whole.end()};
}

Source in_directory(const fs::path& directory) {
  for (const std::string_view ending : kEndings) {
    const auto indices = files_ending(directory, std::string(ending) + std::string(kIndexEnding));
    if (indices.size() > 1) fail_several(directory, "indices", indices);
    if (indices.size() == 1) return indexed(indices[0]);
    if (ending != kEndings[0]) {
      const std::vector<fs::path> files = torch_files(directory, ending);
      if (!files.empty()) return {{}, {}, files};
      continue;
    }
    std::set<fs::path> files;
    for (const fs::path& file : files_ending(directory, ending)) {
      for (const fs::path& one : numbered_set(file)) files.insert(one);
    }
    if (!files.empty()) return {{}, {}, {files.begin(), files.end()}};
  }
  fail(ErrorKind::data, directory.string() + ": no .safetensors file in it, and no .bin or .pt.");
}

Source find_source(const fs::path& path) {
  std::error_code status;
  if (fs::is_directory(path, status)) return in_directory(path);
  if (path.extension() == ".json") return indexed(path);
  const std::string ending = path.extension().string() + std::string(kIndexEnding);
  for (const fs::path& index : files_ending(folder_of(path), ending)) {
    Source source = indexed(index);
    if (shards_of(source.map).count(path.filename().string())) return source;
  }
  return {{}, {}, numbered_set(path)};
}

// Collects the tensors of all shards, and their faults.
class Reader {
 public:
  Reader(const fs::path& path, const std::function<bool(const std::string&)>& passed_over)
      : path_(path), passed_over_(passed_over), source_(find_source(path)) {}

  StoredWeights read() {
    if (source_.files.size() == 1 && source_.index.empty()) {
      SafetensorsFile file = read_tensor_file(source_.files[0], passed_over_);
      note_mapped(file);
      return {std::move(file.tensors), std::move(file.metadata), std::move(weights_.mapped),
              source_.files};
    }
    log_info(strprintf("reading %u files of %s", source_.files.size(), path_));
    for (const fs::path& file : source_.files) read_file(file);
    if (!source_.index.empty()) compare_with_index();
    if (!faults_.empty()) {
      const fs::path& origin = source_.index.empty() ? path_ : source_.index;
      fail(ErrorKind::data, origin.string() + ": " + listed(faults_), advice_);
    }
    weights_.files = source_.files;
    return std::move(weights_);
  }

 private:
  // Tensors that do not begin at a multiple of their element's size are copies.
  void note_mapped(const SafetensorsFile& file) {
    at::Tensor smallest;
    for (const TensorExtent& extent : file.extents) {
      const auto found = file.tensors.find(extent.name);
      if (found == file.tensors.end() || found->second.numel() == 0) continue;
      const at::Tensor& tensor = found->second;
      if (extent.begin % tensor.element_size() != 0 || !tensor.is_contiguous()) continue;
      weights_.mapped.ranges.emplace_back(tensor.const_data_ptr(), tensor.nbytes());
      if (!smallest.defined() || tensor.nbytes() < smallest.nbytes()) smallest = tensor;
    }
    if (smallest.defined()) weights_.mapped.holders.push_back(smallest);
  }

  void read_file(const fs::path& file) {
    const std::string name = file.filename().string();
    std::error_code status;
    if (!fs::exists(file, status)) {
      faults_.push_back("shard " + in_quotes(name) + " is absent");
      return;
    }
    try {
      SafetensorsFile read = read_tensor_file(file, passed_over_);
      for (const TensorExtent& extent : read.extents) {
        const auto [other, fresh] = shard_of_.emplace(extent.name, name);
        if (!fresh) {
          faults_.push_back("tensor " + in_quotes(extent.name) + " is in both " +
                            in_quotes(other->second) + " and " + in_quotes(name));
        }
      }
      note_mapped(read);
      weights_.tensors.merge(read.tensors);
      weights_.metadata.merge(read.metadata);
      whole_.insert(name);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      faults_.push_back(error.message());
      if (advice_.empty()) advice_ = error.advice();
    }
  }

  void compare_with_index() {
    for (const auto& [tensor, shard] : shard_of_) {
      if (!source_.map.count(tensor)) {
        faults_.push_back("tensor " + in_quotes(tensor) + " of " + in_quotes(shard) +
                          " is not in the index");
      }
    }
    for (const auto& [tensor, shard] : source_.map) {
      const auto found = shard_of_.find(tensor);
      if (found == shard_of_.end() ? !whole_.count(shard) : found->second == shard) continue;
      faults_.push_back("tensor " + in_quotes(tensor) + " is not in " + in_quotes(shard) +
                        ", where the index has it" +
                        (found == shard_of_.end() ? "" : ", but in " + in_quotes(found->second)));
    }
    std::vector<std::string> strays;
    const std::set<std::string> shards = shards_of(source_.map);
    const std::string ending = fs::path(*shards.begin()).extension().string();
    for (const fs::path& file : files_ending(folder_of(source_.index), ending)) {
      const std::string name = file.filename().string();
      // PyTorch programs keep other things than weights beside them.
      const bool weights = ending == kEndings[0] || is_model_name(name);
      if (weights && !shards.count(name)) strays.push_back(in_quotes(name));
    }
    if (!strays.empty()) {
      log_warning(source_.index.string() + ": does not name, so left out: " + listed(strays));
    }
  }

  const fs::path& path_;
  const std::function<bool(const std::string&)>& passed_over_;
  const Source source_;
  StoredWeights weights_;
  // The shard of each tensor, also of those passed over.
  std::map<std::string, std::string> shard_of_;
  std::set<std::string> whole_;  // shards that could be read
  std::vector<std::string> faults_;
  std::string advice_;  // about the first fault that has one
};

}  // namespace

StoredWeights read_weights(const fs::path& path,
                           const std::function<bool(const std::string&)>& passed_over) {
  return Reader(path, passed_over).read();
}

std::string take_wrapper_prefix(TensorMap& tensors) {
  constexpr std::string_view kPrefixes[] = {"_orig_mod.", "module."};
  const auto all_begin_with = [&](std::string_view prefix) {
    return !tensors.empty() && std::ranges::all_of(tensors, [&](const auto& item) {
      return item.first.starts_with(prefix) && item.first.size() > prefix.size();
    });
  };
  std::string taken;
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view prefix : kPrefixes) {
      if (!all_begin_with(prefix)) continue;
      TensorMap shorter;
      for (const auto& [name, tensor] : tensors) shorter[name.substr(prefix.size())] = tensor;
      tensors = std::move(shorter);
      taken += prefix;
      again = true;
    }
  }
  return taken;
}

void require_floating_point(const TensorMap& tensors, const std::string& origin) {
  const auto is_other = [](const auto& item) { return !item.second.is_floating_point(); };
  const auto first = std::ranges::find_if(tensors, is_other);
  if (first == tensors.end()) return;
  const auto others = std::ranges::count_if(tensors, is_other);
  const std::string more = others == 1 ? "" : strprintf(" (and %d more)", others - 1);
  fail(ErrorKind::data,
       origin + ": tensor '" + escaped(first->first) + "' is of type " +
           std::string(stored_type_name(first->second.scalar_type())) + more +
           "; weights are of type F16, BF16, F32 or F64.",
       "Quantized weights must be converted back to floating point first.");
}

}  // namespace mythos
