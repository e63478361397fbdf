#include "checkpoint/shared_checkpoint.h"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/progress.h"
#include "base/strings.h"
#include "dist/ranks.h"

namespace mythos {
namespace {

using nlohmann::ordered_json;

// The shapes of the sliced tensors of one file.
TensorShapes shapes_of(const NamedTensors& tensors, const TensorShapes& sliced) {
  TensorShapes shapes;
  for (const auto& item : tensors) {
    const auto found = sliced.find(whole_name(item.first));
    if (slice_begin(item.first) && found != sliced.end()) shapes.insert(*found);
  }
  return shapes;
}

std::vector<std::string> write_files(const fs::path& directory, const std::string& name,
                                     const NamedTensors& tensors,
                                     const CheckpointContent& content) {
  std::vector<NamedTensors> files;
  uint64_t used = 0;
  for (const auto& item : tensors) {
    const uint64_t size = item.second.nbytes();
    if (files.empty() || used + size > content.max_file_bytes) {
      files.emplace_back();
      used = 0;
    }
    files.back().push_back(item);
    used += size;
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string part = strprintf("-%05u-of-%05u", i + 1, files.size());
    names.push_back(name + (files.size() == 1 ? "" : part) + ".safetensors");
    write_safetensors(directory / names.back(), files[i],
                      to_metadata(shapes_of(files[i], content.sliced)));
  }
  return names;
}

void describe_all(const fs::path& directory, const std::vector<std::string>& names,
                  Manifest& manifest) {
  for (const std::string& name : names) {
    manifest.files.push_back(describe_file(directory / name, manifest.block_bytes));
  }
}

// JSON of texts that may hold names of files in any bytes.
std::string replaced(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

// Does a rank's part of the work and tells the others how it went; what it has to tell if that went
// well comes back from all. Fails on all ranks if it failed on one.
std::vector<std::string> do_together(Ranks& ranks, const std::function<std::string()>& part) {
  if (ranks.size() == 1) return {part()};
  ordered_json report;
  try {
    report["told"] = part();
  } catch (const Error& error) {
    report["kind"] = static_cast<int>(error.kind());
    report["failed"] = error.message();
  } catch (const std::exception& error) {
    report["kind"] = static_cast<int>(ErrorKind::resources);
    report["failed"] = error.what();
  }
  std::vector<std::string> told;
  const std::vector<std::string> reports = ranks.gather(replaced(report));
  for (size_t rank = 0; rank < reports.size(); ++rank) {
    const auto json = ordered_json::parse(reports[rank]);
    if (json.contains("failed")) {
      fail(static_cast<ErrorKind>(json.at("kind").get<int>()),
           strprintf("rank %d: ", rank) + json.at("failed").get<std::string>());
    }
    told.push_back(json.at("told").get<std::string>());
  }
  return told;
}

// What a rank found wrong with each file of the manifest.
using FaultsByFile = std::vector<std::vector<std::string>>;

void append(std::vector<std::string>& to, const std::vector<std::string>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

void write_head(const fs::path& directory, const CheckpointContent& content, Manifest& manifest) {
  std::vector<std::string> names;
  const auto write = [&](const std::string& name, const std::string& text) {
    write_file_atomic(directory / name, text);
    names.push_back(name);
  };
  write("config.toml", to_toml(content.config));
  if (content.tokenizer) {
    manifest.tokenizer = content.tokenizer->file_name();
    write(manifest.tokenizer, content.tokenizer->file_content());
  }
  for (const auto& [name, text] : content.model_files) write(name, text);
  nlohmann::json state = content.state;
  state["step"] = manifest.step;
  if (content.documents) state["documents"] = to_json(*content.documents);
  write("state.json", state.dump(1) + "\n");
  describe_all(directory, names, manifest);
}

void write_tensors(const fs::path& directory, const std::string& suffix,
                   const CheckpointContent& content, Manifest& manifest) {
  manifest.model = write_files(directory, "model" + suffix, content.model, content);
  manifest.optimizer = write_files(directory, "optimizer" + suffix, content.optimizer, content);
  manifest.slices = !content.sliced.empty();
  describe_all(directory, manifest.model, manifest);
  describe_all(directory, manifest.optimizer, manifest);
}

void write_together(const fs::path& step_directory, int64_t step, const CheckpointContent& content,
                    Ranks& ranks, const std::function<void()>& done) {
  const bool first = ranks.rank() == 0;
  std::unique_ptr<AtomicDirectory> directory;
  const fs::path path = do_together(ranks, [&]() -> std::string {
    if (!first) return {};
    directory = std::make_unique<AtomicDirectory>(step_directory);
    return fs::absolute(directory->path()).string();
  })[0];
  Manifest manifest;
  manifest.step = step;
  const std::vector<std::string> parts = do_together(ranks, [&] {
    std::error_code status;
    if (!fs::is_directory(path, status)) {
      fail(ErrorKind::resources, path.string() +
                                     ": this rank does not see what rank 0 has made. The run must "
                                     "lie on a file system that all ranks share.");
    }
    if (first) write_head(path, content, manifest);
    write_tensors(path, strprintf("-rank%05d", ranks.rank()), content, manifest);
    return to_json(manifest).dump();
  });
  do_together(ranks, [&]() -> std::string {
    if (!first) return {};
    for (size_t rank = 1; rank < parts.size(); ++rank) {
      const Manifest part = manifest_from_json(ordered_json::parse(parts[rank]));
      append(manifest.model, part.model);
      append(manifest.optimizer, part.optimizer);
      manifest.files.insert(manifest.files.end(), part.files.begin(), part.files.end());
      manifest.slices = manifest.slices || part.slices;
    }
    write_manifest(path, manifest);
    directory->commit();
    done();
    return {};
  });
}

std::string agree_on_fault(const fs::path& step_directory, const std::string& fault, Ranks& ranks) {
  const std::string name = step_directory.filename().string();
  const std::vector<std::string> found = do_together(ranks, [&] {
    return replaced(ordered_json{name, fault});
  });
  std::string first_name, first_fault;
  for (size_t rank = 0; rank < found.size(); ++rank) {
    const auto of_rank =
        ordered_json::parse(found[rank]).get<std::pair<std::string, std::string>>();
    if (rank == 0) first_name = of_rank.first;
    if (of_rank.first != first_name) {
      fail(ErrorKind::data,
           strprintf("%s: rank 0 has found %s, rank %d %s.", step_directory.parent_path(),
                     first_name, rank, of_rank.first),
           "Give all ranks a run directory on a file system that they share");
    }
    if (first_fault.empty()) first_fault = of_rank.second;
  }
  return first_fault;
}

std::vector<std::string> check_files(const fs::path& directory, const Manifest& manifest,
                                     const std::vector<std::string>& passed_over, Ranks& ranks) {
  const WorkPart part{static_cast<uint64_t>(ranks.rank()), static_cast<uint64_t>(ranks.size())};
  const auto check_part = [&] {
    Progress progress("checking " + directory.string(),
                      static_cast<int64_t>(manifest.size_bytes() / part.of), "bytes");
    int64_t done = 0;
    const auto checked = [&](uint64_t bytes) {
      done += static_cast<int64_t>(bytes);
      progress.update(done);
    };
    FaultsByFile faults;
    for (const ManifestFile& file : manifest.files) {
      const bool passes = std::ranges::find(passed_over, file.name) != passed_over.end();
      faults.push_back(passes ? std::vector<std::string>()
                              : check_file(directory, manifest, file, part, checked));
    }
    return replaced(faults);
  };
  std::vector<FaultsByFile> found;
  for (const std::string& of_rank : do_together(ranks, check_part)) {
    found.push_back(ordered_json::parse(of_rank).get<FaultsByFile>());
  }
  std::vector<std::string> faults;
  for (size_t file = 0; file < manifest.files.size(); ++file) {
    for (const FaultsByFile& of_rank : found) append(faults, of_rank[file]);
  }
  return faults;
}

NonFinite find_nonfinite(const std::vector<std::pair<std::string, StoredTensor>>& tensors,
                         Ranks& ranks) {
  const auto look_at_part = [&] {
    ordered_json found = ordered_json::array();
    const auto step = static_cast<size_t>(ranks.size());
    for (auto i = static_cast<size_t>(ranks.rank()); i < tensors.size(); i += step) {
      NonFinite values;
      values.look_at(tensors[i].first, tensors[i].second());
      for (const NonFiniteTensor& tensor : values.tensors) {
        found.push_back({i, tensor.count, tensor.index, std::bit_cast<uint64_t>(tensor.value)});
      }
    }
    return found.dump();
  };
  std::map<size_t, NonFiniteTensor> by_place;
  for (const std::string& of_rank : do_together(ranks, look_at_part)) {
    for (const ordered_json& tensor : ordered_json::parse(of_rank)) {
      const auto place = tensor[0].get<size_t>();
      by_place[place] = {tensors[place].first, tensor[1].get<int64_t>(),
                         tensor[2].get<std::vector<int64_t>>(),
                         std::bit_cast<double>(tensor[3].get<uint64_t>())};
    }
  }
  NonFinite all;
  for (auto& item : by_place) all.tensors.push_back(std::move(item.second));
  return all;
}

namespace {

// The tensors of several files, and the shapes of those that lie there in slices.
std::pair<TensorMap, TensorShapes> read_files(const fs::path& directory,
                                              const std::vector<std::string>& names) {
  std::pair<TensorMap, TensorShapes> read;
  for (const std::string& name : names) {
    const std::string path = (directory / name).string();
    SafetensorsFile file = read_safetensors(path);
    for (auto& [key, tensor] : file.tensors) {
      if (!read.first.emplace(key, tensor).second) {
        fail(ErrorKind::data,
             path + ": tensor '" + escaped(key) + "' is also in another file of the checkpoint.");
      }
    }
    read_shapes(file.metadata, read.second, path);
  }
  return read;
}

}  // namespace

TensorMap read_tensors(const fs::path& directory, const std::vector<std::string>& names) {
  return read_files(directory, names).first;
}

StoredTensors read_whole_tensors(const fs::path& directory, const std::vector<std::string>& names) {
  const auto [tensors, shapes] = read_files(directory, names);
  return joined(tensors, shapes, directory.string());
}

}  // namespace mythos
