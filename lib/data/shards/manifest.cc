#include "data/shards/manifest.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kSchemaPrefix = "mythos.shards/";
constexpr std::string_view kManifestSchema = "mythos.shards/1";
// The schema of directories with masks, which a reader of version 1 would take for text that counts
// wholly.
constexpr std::string_view kMaskedSchema = "mythos.shards/2";
constexpr std::string_view kChecksumKey = "\"manifest_checksum\": \"";
constexpr size_t kChecksumDigits = 16;
// The largest manifest, with room for some 400,000 files: parsed JSON takes many times its size in
// memory.
constexpr uintmax_t kMaxBytes = 64 << 20;

// Bytes of text for each token, rounded to four decimals; 0 if there are no tokens.
double bytes_per_token(uint64_t text_bytes, uint64_t tokens) {
  const double ratio =
      static_cast<double>(text_bytes) / static_cast<double>(std::max<uint64_t>(tokens, 1));
  return std::round(ratio * 1e4) / 1e4;
}

ordered_json mask_json(const MaskFileInfo& mask) {
  return {{"name", mask.name},
          {"size_bytes", mask.size_bytes},
          {"checksum", mask.checksum},
          {"counted", mask.counted}};
}

ordered_json split_json(const SplitInfo& split, bool masked) {
  ordered_json files = ordered_json::array();
  for (const ShardFileInfo& file : split.files) {
    files.push_back({{"name", file.name},
                     {"tokens", file.tokens},
                     {"documents", file.documents},
                     {"size_bytes", file.size_bytes},
                     {"checksum", file.checksum}});
    if (masked) files.back()["mask"] = mask_json(file.mask);
  }
  ordered_json json = {{"tokens", split.tokens},
                       {"documents", split.documents},
                       {"text_bytes", split.text_bytes},
                       {"bytes_per_token", bytes_per_token(split.text_bytes, split.tokens)}};
  if (masked) json["counted"] = split.counted;
  json["files"] = std::move(files);
  return json;
}

ordered_json sources_json(const std::vector<SourceInfo>& sources) {
  ordered_json array = ordered_json::array();
  for (const SourceInfo& source : sources) {
    array.push_back({{"name", source.name},
                     {"documents", source.documents},
                     {"tokens", source.tokens},
                     {"text_bytes", source.text_bytes},
                     {"bytes_per_token", bytes_per_token(source.text_bytes, source.tokens)}});
  }
  return array;
}

// Reads members of the manifest; its errors name the file and the key.
class Reader {
 public:
  Reader(const fs::path& path, const ordered_json& root) : path_(path), root_(root) {}

  [[noreturn]] void fail_key(const std::string& key, const std::string& what) const {
    fail(ErrorKind::data, path_.string() + ": '" + key + "' " + what);
  }
  const ordered_json& at(const ordered_json& object, const std::string& key) const {
    if (!object.is_object() || !object.contains(key)) fail_key(key, "is missing");
    return object[key];
  }
  uint64_t count(const ordered_json& object, const std::string& key) const {
    const ordered_json& value = at(object, key);
    if (!value.is_number_unsigned()) fail_key(key, "is not a whole number of 0 or more");
    return value.get<uint64_t>();
  }
  std::string text(const ordered_json& object, const std::string& key) const {
    const ordered_json& value = at(object, key);
    if (!value.is_string()) fail_key(key, "is not a string");
    return value.get<std::string>();
  }
  bool flag(const ordered_json& object, const std::string& key) const {
    const ordered_json& value = at(object, key);
    if (!value.is_boolean()) fail_key(key, "is not true or false");
    return value.get<bool>();
  }
  // Reads the name of a file inside the directory and refuses a path out of it.
  std::string file_name(const ordered_json& object, const std::string& key) const {
    const std::string name = text(object, key);
    if (name.empty() || name[0] == '.' || name.find('/') != std::string::npos) {
      fail_key(key, "is not a plain file name: '" + escaped(name) + "'");
    }
    return name;
  }
  MaskFileInfo mask(const ordered_json& file) const {
    const ordered_json& object = at(file, "mask");
    return {file_name(object, "name"), count(object, "size_bytes"), text(object, "checksum"),
            count(object, "counted")};
  }
  SplitInfo split(const std::string& name, bool masked) const {
    const ordered_json& object = at(at(root_, "splits"), name);
    SplitInfo split = {
        count(object, "tokens"), count(object, "documents"), count(object, "text_bytes"), {}};
    if (masked) split.counted = count(object, "counted");
    const ordered_json& files = at(object, "files");
    if (!files.is_array()) fail_key("files", "is not an array");
    uint64_t tokens = 0, documents = 0, counted = 0;
    for (const ordered_json& file : files) {
      split.files.push_back({file_name(file, "name"), count(file, "tokens"),
                             count(file, "documents"), count(file, "size_bytes"),
                             text(file, "checksum")});
      if (masked) split.files.back().mask = mask(file);
      if (split.files.back().mask.counted > split.files.back().tokens ||
          __builtin_add_overflow(tokens, split.files.back().tokens, &tokens) ||
          __builtin_add_overflow(documents, split.files.back().documents, &documents)) {
        fail_key(name, "has impossible counts");
      }
    }
    for (const ShardFileInfo& file : split.files) counted += file.mask.counted;
    if (tokens != split.tokens || documents != split.documents || counted != split.counted) {
      fail_key(name, "has counts that are not the sums over its files");
    }
    return split;
  }
  std::vector<SourceInfo> sources() const {
    std::vector<SourceInfo> sources;
    if (!root_.contains("sources")) return sources;
    const ordered_json& array = root_["sources"];
    if (!array.is_array()) fail_key("sources", "is not an array");
    for (const ordered_json& source : array) {
      sources.push_back({text(source, "name"), count(source, "documents"), count(source, "tokens"),
                         count(source, "text_bytes")});
    }
    return sources;
  }

 private:
  const fs::path& path_;
  const ordered_json& root_;
};

void check_own_checksum(const fs::path& path, std::string content) {
  const size_t key = content.rfind(kChecksumKey);
  const size_t digits = key + kChecksumKey.size();
  if (key == std::string::npos || content.size() < digits + kChecksumDigits) {
    fail(ErrorKind::data,
         path.string() + ": 'manifest_checksum' is missing: the file is cut off or damaged");
  }
  const std::string stated = content.substr(digits, kChecksumDigits);
  content.replace(digits, kChecksumDigits, kChecksumDigits, '0');
  const std::string actual = checksum(content);
  if (actual != stated) {
    fail(ErrorKind::data,
         strprintf("%s: byte %u: manifest_checksum is %s, but the file's content gives %s: it was "
                   "edited or damaged",
                   path, digits, escaped(stated), actual));
  }
}

ordered_json parse(const fs::path& path, const std::string& content) {
  try {
    return ordered_json::parse(content);
  } catch (const ordered_json::parse_error& error) {
    fail(ErrorKind::data,
         strprintf("%s: byte %u: not valid JSON: the file is damaged", path, error.byte));
  }
}

}  // namespace

ordered_json manifest_json(const ShardManifest& manifest) {
  ordered_json json = {
      {"dtype", manifest.dtype},
      {"vocab_size", manifest.vocab_size},
      {"bos", manifest.bos},
      {"eos", manifest.eos},
      {"tokenizer",
       {{"file", manifest.tokenizer_file}, {"fingerprint", manifest.tokenizer_fingerprint}}},
      {"splits",
       {{"train", split_json(manifest.train, manifest.masked)},
        {"val", split_json(manifest.val, manifest.masked)}}}};
  if (!manifest.sources.empty()) json["sources"] = sources_json(manifest.sources);
  return json;
}

std::string format_manifest(const ShardManifest& manifest) {
  ordered_json root = {{"schema", manifest.masked ? kMaskedSchema : kManifestSchema}};
  root.update(manifest_json(manifest));
  root["manifest_checksum"] = std::string(kChecksumDigits, '0');
  std::string content = root.dump(2) + "\n";
  content.replace(content.rfind(kChecksumKey) + kChecksumKey.size(), kChecksumDigits,
                  checksum(content));
  return content;
}

ShardManifest read_shard_manifest(const fs::path& directory) {
  const fs::path path = directory / kShardManifestName;
  std::error_code status;
  if (!fs::is_directory(directory, status)) {
    fail(ErrorKind::data,
         directory.string() + ": no such shard directory. Make one with 'mythos tokenize'.");
  }
  if (!fs::exists(path, status)) {
    fail(ErrorKind::data, directory.string() + ": not a shard directory (no manifest.json)");
  }
  if (!fs::is_regular_file(path, status)) {
    fail(ErrorKind::data, path.string() + ": not a regular file");
  }
  if (const uintmax_t size = fs::file_size(path, status); !status && size > kMaxBytes) {
    fail(ErrorKind::data,
         strprintf("%s: the file has %u bytes; a manifest has at most %u", path, size, kMaxBytes));
  }
  return parse_manifest(read_file(path), path);
}

ShardManifest parse_manifest(const std::string& content, const fs::path& path) {
  const ordered_json root = parse(path, content);
  const Reader reader(path, root);
  const std::string schema = reader.text(root, "schema");
  if (schema != kManifestSchema && schema != kMaskedSchema) {
    reader.fail_key("schema", "is '" + escaped(schema) + "'; this program reads '" +
                                  std::string(kManifestSchema) + "' and '" +
                                  std::string(kMaskedSchema) + "'");
  }
  check_own_checksum(path, content);
  ShardManifest manifest;
  manifest.masked = schema == kMaskedSchema;
  manifest.dtype = reader.text(root, "dtype");
  if (manifest.dtype != "u16" && manifest.dtype != "u32")
    reader.fail_key("dtype", "is neither u16 nor u32");
  const uint64_t vocab_size = reader.count(root, "vocab_size");
  if (vocab_size == 0 ||
      vocab_size > (manifest.dtype == "u16" ? uint64_t{1} << 16 : uint64_t{1} << 32)) {
    reader.fail_key("vocab_size", "does not fit the dtype " + manifest.dtype);
  }
  manifest.vocab_size = static_cast<int64_t>(vocab_size);
  manifest.bos = reader.flag(root, "bos");
  manifest.eos = reader.flag(root, "eos");
  const ordered_json& tokenizer = reader.at(root, "tokenizer");
  manifest.tokenizer_file = reader.file_name(tokenizer, "file");
  manifest.tokenizer_fingerprint = reader.text(tokenizer, "fingerprint");
  manifest.train = reader.split("train", manifest.masked);
  manifest.val = reader.split("val", manifest.masked);
  manifest.sources = reader.sources();
  return manifest;
}

bool is_unfinished_manifest(const fs::path& path) {
  return is_unfinished(path) &&
         path.filename().string().starts_with("." + std::string(kShardManifestName) + ".");
}

bool is_shard_directory(const fs::path& directory) {
  std::error_code status;
  const fs::path path = directory / kShardManifestName;
  return fs::is_regular_file(path, status) &&
         read_file(path).find(kSchemaPrefix) != std::string::npos;
}

}  // namespace mythos
