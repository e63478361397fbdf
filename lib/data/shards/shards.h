#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "config/document_ends.h"

// Token shards on disk, in the format that man/mythos-shards.5 specifies.
namespace mythos {

class Tokenizer;

// The file that says which tokens of a shard file count.
struct MaskFileInfo {
  std::string name;
  uint64_t size_bytes = 0;
  std::string checksum;  // of the whole file
  uint64_t counted = 0;  // number of tokens that count
};

struct ShardFileInfo {
  std::string name;
  uint64_t tokens = 0, documents = 0, size_bytes = 0;
  std::string checksum;    // of the whole file
  MaskFileInfo mask = {};  // only in a masked directory
};

struct SplitInfo {
  uint64_t tokens = 0, documents = 0;
  uint64_t text_bytes = 0;  // bytes of text that the tokens stand for
  std::vector<ShardFileInfo> files;
  uint64_t counted = 0;  // number of tokens that count; only in a masked directory
};

// What one input gave; sources are in the order of first use.
struct SourceInfo {
  std::string name;  // as it was named
  uint64_t documents = 0, tokens = 0, text_bytes = 0;
};

struct ShardManifest {
  std::string dtype;  // "u16" or "u32"
  int64_t vocab_size = 0;
  std::string tokenizer_fingerprint, tokenizer_file;
  bool bos = false, eos = true;  // whether each document begins with BOS and ends with EOS
  SplitInfo train, val;
  std::vector<SourceInfo> sources;  // empty if not recorded
  // Whether a mask says which tokens count as targets. Without one, all do.
  bool masked = false;

  DocumentEnds document_ends() const {
    return {bos ? Share::all : Share::none, eos ? Share::all : Share::none};
  }
};

// A shard directory opened for reading. Opening reads the manifest and checks the tokenizer's
// fingerprint and the presence and size of each file. A file's header and indexes are checked when
// the file is first used, so that the time to the first token does not grow with the data. Both
// checks fail (data), naming file and byte offset, on anything missing, truncated or inconsistent;
// verify_shards() finds all faults at once. Const members may be called from several threads.
class ShardDirectory {
 public:
  explicit ShardDirectory(const fs::path& directory);
  ~ShardDirectory();
  ShardDirectory(ShardDirectory&&) noexcept;

  const fs::path& path() const;
  const ShardManifest& manifest() const;

  // Fails (data), showing both fingerprints, unless the shards were made with this tokenizer.
  void require_tokenizer(const std::string& fingerprint, const std::string& whose) const;

  enum class Split { train, val };
  // Copies tokens first … first+out.size()-1 of the split's one long stream (documents in order,
  // each with its BOS/EOS). Reads only the frames that hold them, and compares each frame's
  // checksum. The frames that were read last are kept, up to some megabytes.
  void read(Split split, uint64_t first, std::span<uint32_t> out) const;
  uint64_t tokens(Split split) const;
  uint64_t documents(Split split) const;
  bool masked() const;
  // Sets out[i] to 1 if token first+i of the split's stream counts as a target, else to 0. All
  // tokens count if the directory is not masked.
  void read_mask(Split split, uint64_t first, std::span<uint32_t> out) const;
  // The number of tokens that count.
  uint64_t counted(Split split) const;
  // Fails (data), naming the directory, if the split has tokens but none of them counts.
  void require_counted(Split split) const;
  // The index in the stream of a document's first token; tokens() for documents().
  uint64_t document_begin(Split split, uint64_t document) const;
  // The document that holds a token of the stream; documents() if there is no such token. Opens
  // only one file.
  uint64_t document_of(Split split, uint64_t token) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A split's name: "train" or "val".
const char* split_name(ShardDirectory::Split split);

// Reads everything in a shard directory and compares every checksum. Returns a line for each fault:
// file, byte offset, what. Fails (data) if there is no shard directory of that name.
std::vector<std::string> verify_shards(const fs::path& directory);

struct ShardWriterOptions {
  uint64_t tokens_per_file = 100'000'000;  // a file ends with the document that reaches it
  uint32_t tokens_per_frame = 4096;        // what one random access decompresses
  int zstd_level = 3;
  bool bos = false, eos = true;
  bool masked = false;  // keep which tokens count
};

// Writes a shard directory through AtomicDirectory: it appears whole or not at all.
class ShardWriter {
 public:
  // Fails (usage) if the tokenizer lacks a token that the options ask for, or if the directory
  // exists; only with `replace` a shard directory or an empty directory is replaced.
  ShardWriter(const fs::path& directory, const Tokenizer& tokenizer,
              const ShardWriterOptions& options, bool replace = false);
  ~ShardWriter();

  // Adds a document, given without BOS and EOS; `text_bytes` is the length of its text. A document
  // without any token is left out. Fails (data) on an id outside the tokenizer's vocabulary.
  // `mask`, only with ShardWriterOptions::masked, has 1 for each token that counts and 0 for each
  // other, BOS and EOS included; all tokens count if it is empty.
  void add(ShardDirectory::Split split, std::span<const uint32_t> ids, uint64_t text_bytes,
           std::span<const uint32_t> mask = {});
  // Closes all files after the last document; for jobs with many writers at a time.
  void finish();
  // Sets the sources that commit() records; none are recorded otherwise.
  void set_sources(std::vector<SourceInfo> sources);
  // Finishes all files and the manifest; before that, nothing exists under the final name. Fails
  // (data) if there was no document.
  ShardManifest commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mythos
