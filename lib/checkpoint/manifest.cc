#include "checkpoint/manifest.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"
#include "checkpoint/safetensors.h"

namespace mythos {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kSchema = "mythos.checkpoint/1";
constexpr std::string_view kSlicesSchema = "mythos.checkpoint/2";  // with tensors in slices
// The last key is the manifest's own checksum, over all bytes before the checksum's digits.
constexpr std::string_view kChecksumKey = "\"manifest_checksum\": \"";
constexpr std::string_view kEnd = "\"\n}\n";
constexpr size_t kDigits = 16;
constexpr uint64_t kBlocksAtATime = 64;  // whose checksums are formed together

ordered_json to_json(const ManifestFile& file) {
  ordered_json out = {{"name", file.name},
                      {"size_bytes", file.size_bytes},
                      {"checksum", file.checksum},
                      {"blocks", file.blocks}};
  if (!file.tensors.empty()) out["tensors"] = file.tensors;
  return out;
}

ManifestFile file_from_json(const ordered_json& json) {
  ManifestFile file;
  json.at("name").get_to(file.name);
  json.at("size_bytes").get_to(file.size_bytes);
  json.at("checksum").get_to(file.checksum);
  json.at("blocks").get_to(file.blocks);
  if (json.contains("tensors")) json.at("tensors").get_to(file.tensors);
  return file;
}

// Checks what a reader relies on beyond types. Returns what is wrong, or "".
std::string inconsistency(const Manifest& manifest) {
  if (manifest.block_bytes == 0) return "block_bytes is 0";
  std::vector<std::string> names = manifest.model;
  names.insert(names.end(), manifest.optimizer.begin(), manifest.optimizer.end());
  if (!manifest.tokenizer.empty()) names.push_back(manifest.tokenizer);
  for (const ManifestFile& file : manifest.files) {
    if (fs::path(file.name).filename() != fs::path(file.name) || file.name == "..") {
      return strprintf("'%s' is not a plain file name", escaped(file.name));
    }
    const uint64_t blocks = file.size_bytes / manifest.block_bytes +
                            (file.size_bytes % manifest.block_bytes != 0 ? 1 : 0);
    if (file.blocks.size() != blocks) {
      return strprintf("'%s' has %u block checksums; its size takes %u", escaped(file.name),
                       file.blocks.size(), blocks);
    }
    std::erase(names, file.name);
  }
  if (names.empty()) return "";
  return strprintf("'%s' is not among its files", escaped(names[0]));
}

// The manifest's text up to its own checksum. Fails (data) if the checksum differs.
std::string_view checked_body(const fs::path& path, std::string_view text) {
  const std::string range = strprintf("%s: bytes 0-%u: ", path, text.empty() ? 0 : text.size() - 1);
  const size_t tail = kDigits + kEnd.size();
  if (text.size() < tail + kChecksumKey.size() || !text.ends_with(kEnd) ||
      !text.substr(0, text.size() - tail).ends_with(kChecksumKey)) {
    fail(ErrorKind::data, range + "does not end with its own checksum: cut off or changed.");
  }
  const std::string_view body = text.substr(0, text.size() - tail);
  const std::string_view expected = text.substr(body.size(), kDigits);
  const std::string found = checksum(body);
  if (found != expected) {
    fail(ErrorKind::data, range + "checksum " + found + ", but it says " + escaped(expected) +
                              ": the file was changed.");
  }
  return body;
}

std::string tensors_in(const ManifestFile& file, uint64_t begin, uint64_t end) {
  std::vector<std::string> names;
  for (const auto& [name, extent] : file.tensors) {
    if (extent.first < end && begin < extent.second) names.push_back(name);
  }
  if (names.empty()) return "";
  const size_t shown = std::min<size_t>(names.size(), 3);
  std::string text = names.size() == 1 ? "; tensor " : "; tensors ";
  text += join({names.begin(), names.begin() + static_cast<ptrdiff_t>(shown)}, ", ");
  if (names.size() > shown) text += strprintf(" and %u more", names.size() - shown);
  return text;
}

std::string damage(const fs::path& path, const ManifestFile& file, uint64_t begin, uint64_t end) {
  return strprintf("%s: bytes %u-%u: checksum differs from the manifest's", path, begin, end - 1) +
         tensors_in(file, begin, end);
}

}  // namespace

uint64_t Manifest::size_bytes() const {
  uint64_t total = 0;
  for (const ManifestFile& file : files) total += file.size_bytes;
  return total;
}

nlohmann::ordered_json to_json(const Manifest& manifest) {
  ordered_json files = ordered_json::array();
  for (const ManifestFile& file : manifest.files) files.push_back(to_json(file));
  ordered_json json = {{"schema", manifest.slices ? kSlicesSchema : kSchema},
                       {"step", manifest.step},
                       {"block_bytes", manifest.block_bytes},
                       {"tokenizer", nullptr},
                       {"model", manifest.model},
                       {"optimizer", manifest.optimizer},
                       {"files", files}};
  if (!manifest.tokenizer.empty()) json["tokenizer"] = manifest.tokenizer;
  return json;
}

Manifest manifest_from_json(const nlohmann::ordered_json& json) {
  Manifest manifest;
  manifest.slices = json.at("schema") == kSlicesSchema;
  json.at("step").get_to(manifest.step);
  json.at("block_bytes").get_to(manifest.block_bytes);
  if (!json.at("tokenizer").is_null()) json.at("tokenizer").get_to(manifest.tokenizer);
  json.at("model").get_to(manifest.model);
  json.at("optimizer").get_to(manifest.optimizer);
  for (const ordered_json& file : json.at("files")) manifest.files.push_back(file_from_json(file));
  return manifest;
}

ManifestFile describe_file(const fs::path& path, uint64_t block_bytes) {
  ManifestFile out;
  out.name = path.filename().string();
  const MappedFile file(path);
  const auto bytes = file.bytes();
  out.size_bytes = bytes.size();
  Checksum whole;
  for (uint64_t begin = 0; begin < bytes.size(); begin += block_bytes) {
    const auto block = bytes.subspan(begin, std::min<uint64_t>(block_bytes, bytes.size() - begin));
    out.blocks.push_back(checksum(block));
    whole.update(block.data(), block.size());
  }
  out.checksum = whole.hex();
  if (path.extension() == ".safetensors") {
    for (const TensorExtent& extent : read_safetensors(path).extents) {
      out.tensors[extent.name] = {extent.begin, extent.end};
    }
  }
  return out;
}

void write_manifest(const fs::path& directory, const Manifest& manifest) {
  std::string text = to_json(manifest).dump(1);
  text.resize(text.size() - 2);  // "\n}"
  text += ",\n " + std::string(kChecksumKey);
  text += checksum(text) + std::string(kEnd);
  write_file_atomic(directory / kCheckpointManifestName, text);
}

Manifest read_manifest(const fs::path& directory) {
  const fs::path path = directory / kCheckpointManifestName;
  std::error_code status;
  if (!fs::exists(path, status)) {
    fail(ErrorKind::data, path.string() + " is missing: the checkpoint was not finished.");
  }
  const std::string text = read_file(path);
  std::string body(checked_body(path, text));
  try {
    const ordered_json json = ordered_json::parse(body + std::string(kEnd));
    if (json.at("schema") != kSchema && json.at("schema") != kSlicesSchema) {
      fail(ErrorKind::data, path.string() + ": schema " + json.at("schema").dump() +
                                "; this version reads '" + std::string(kSchema) +
                                "'. Use the version of mythos that wrote it, or a later one.");
    }
    const Manifest manifest = manifest_from_json(json);
    const std::string wrong = inconsistency(manifest);
    if (!wrong.empty()) fail(ErrorKind::data, path.string() + ": " + wrong + ".");
    return manifest;
  } catch (const nlohmann::json::exception& error) {
    const std::string_view what = error.what();  // "[json.exception.….NNN] reason"
    fail(ErrorKind::data, path.string() + ": not a checkpoint's manifest: " +
                              std::string(what.substr(what.find("] ") + 2)));
  }
}

std::optional<std::string> incomplete_reason(const fs::path& directory, const Manifest& manifest) {
  for (const ManifestFile& file : manifest.files) {
    const fs::path path = directory / file.name;
    std::error_code status;
    const uint64_t size = fs::file_size(path, status);
    if (status) return path.string() + ": " + status.message();
    if (size != file.size_bytes) {
      return strprintf("%s: %u bytes, expected %u", path, size, file.size_bytes);
    }
  }
  return std::nullopt;
}

std::vector<std::string> check_file(const fs::path& directory, const Manifest& manifest,
                                    const ManifestFile& file, const WorkPart& part,
                                    const std::function<void(uint64_t)>& checked) {
  const fs::path path = directory / file.name;
  const bool first_part = part.number == 0;
  std::error_code status;
  if (!fs::exists(path, status)) {
    if (!first_part) return {};
    return {strprintf("%s: missing; %u bytes expected", path, file.size_bytes)};
  }
  std::vector<std::string> faults;
  const MappedFile mapped(path);
  const uint64_t size = mapped.bytes().size();
  if (size != file.size_bytes && first_part) {
    const uint64_t from = std::min(size, file.size_bytes), to = std::max(size, file.size_bytes);
    faults.push_back(strprintf("%s: bytes %u-%u: %s; %u bytes, expected %u", path, from, to - 1,
                               size < to ? "cut off" : "too many", size, file.size_bytes));
  }
  std::optional<uint64_t> damaged_from;
  const uint64_t whole = std::min(size, file.size_bytes);
  const auto end_of = [&](uint64_t block) {
    return std::min((block + 1) * manifest.block_bytes, file.size_bytes);
  };
  const auto is_damaged = [&](uint64_t block) {
    const uint64_t begin = block * manifest.block_bytes, end = end_of(block);
    // A block that is cut off has been reported with the file's size.
    return end <= whole &&
           checksum(mapped.bytes().subspan(begin, end - begin)) != file.blocks[block];
  };
  const uint64_t begin_block = file.blocks.size() * part.number / part.of;
  const uint64_t end_block = file.blocks.size() * (part.number + 1) / part.of;
  for (uint64_t first = begin_block; first < end_block; first += kBlocksAtATime) {
    std::array<bool, kBlocksAtATime> damaged{};
    const uint64_t count = std::min(kBlocksAtATime, end_block - first);
    at::parallel_for(0, static_cast<int64_t>(count), 4, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<uint64_t>(begin); i < static_cast<uint64_t>(end); ++i) {
        damaged[i] = is_damaged(first + i);
      }
    });
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t begin = (first + i) * manifest.block_bytes;
      if (damaged[i] && !damaged_from) damaged_from = begin;
      if (!damaged[i] && damaged_from) {
        faults.push_back(damage(path, file, *damaged_from, begin));
        damaged_from.reset();
      }
      checked(end_of(first + i) - begin);
    }
  }
  if (damaged_from) faults.push_back(damage(path, file, *damaged_from, end_of(end_block - 1)));
  return faults;
}

}  // namespace mythos
