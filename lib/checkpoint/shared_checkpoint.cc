#include "checkpoint/shared_checkpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
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

// Does a rank's part of the work and tells the others how it went; what it has to tell if that went
// well comes back from all. Fails on all ranks if it failed on one.
std::vector<std::string> do_together(Ranks& ranks, const std::function<std::string()>& part) {
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
  const std::vector<std::string> reports = ranks.gather(report.dump());
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
