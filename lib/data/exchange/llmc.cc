#include "data/exchange/llmc.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/strings.h"
#include "data/shards/shard_format.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

using shard_format::get;
using shard_format::put;
using shard_format::put_ids;

struct Version {
  int32_t magic, version;
  uint32_t token_bytes;
  const char* dtype;
};
constexpr Version kGpt2 = {20240520, 1, 2, "u16"};
constexpr Version kLlama3 = {20240801, 7, 4, "u32"};
constexpr int32_t kEvaluationMagic = 20240522;
constexpr size_t kLlmcHeaderBytes = 256 * 4;

const Version& version_for(const ExportOptions& options, int64_t vocab_size) {
  const bool small = vocab_size <= 1 << 16;
  if (options.dtype.empty()) return small ? kGpt2 : kLlama3;
  if (options.dtype != kGpt2.dtype && options.dtype != kLlama3.dtype) {
    fail(ErrorKind::usage, "--dtype " + options.dtype + ": llm.c has u16 and u32");
  }
  if (options.dtype == kLlama3.dtype) return kLlama3;
  if (!small) {
    fail(ErrorKind::usage,
         strprintf("--dtype u16 holds ids up to 65,535, but the vocabulary has %s.",
                   with_commas(vocab_size)),
         "Leave out --dtype: --format llmc then takes the version with u32 by itself.");
  }
  return kGpt2;
}

// Writes a file whose number of tokens is known beforehand.
class LlmcWriter {
 public:
  LlmcWriter(const fs::path& path, const Version& version, uint64_t tokens)
      : file_(path), token_bytes_(version.token_bytes) {
    std::string header;
    put<uint32_t>(header, static_cast<uint32_t>(version.magic));
    put<uint32_t>(header, static_cast<uint32_t>(version.version));
    put<uint32_t>(header, static_cast<uint32_t>(tokens));
    header.resize(kLlmcHeaderBytes, '\0');
    file_.write(header);
  }
  void append(std::span<const uint32_t> ids) {
    buffer_.clear();
    put_ids(buffer_, ids, token_bytes_);
    file_.write(buffer_);
  }
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
  uint32_t token_bytes_;
  std::string buffer_;
};

// The number of tokens of each file of a split. A document longer than a file can be has files to
// itself.
std::vector<uint64_t> file_sizes(const ShardDirectory& shards, ShardDirectory::Split split,
                                 const ExportOptions& options) {
  // In the file each document has a boundary token instead of the BOS and EOS that it has in the
  // shards.
  const uint64_t stored = uint64_t{shards.manifest().bos} + shards.manifest().eos;
  std::vector<uint64_t> sizes;
  uint64_t size = 0, begin = 0;
  const auto end_file = [&](uint64_t tokens) {
    sizes.push_back(tokens);
    size -= tokens;
  };
  for (uint64_t document = 0; document < shards.documents(split); ++document) {
    const uint64_t end = shards.document_begin(split, document + 1);
    const uint64_t tokens = end - begin - stored + 1;
    begin = end;
    if (size > 0 && size + tokens > options.most_tokens) end_file(size);
    size += tokens;
    while (size > options.most_tokens) end_file(options.most_tokens);
    if (size >= options.tokens_per_file) end_file(size);
  }
  if (size > 0) end_file(size);
  return sizes;
}

// Writes a split as a series of files of known sizes.
class LlmcSeries {
 public:
  LlmcSeries(fs::path folder, ShardDirectory::Split split, const Version& version,
             std::vector<uint64_t> sizes, std::vector<std::string>& names)
      : folder_(std::move(folder)),
        split_(split),
        version_(version),
        sizes_(std::move(sizes)),
        names_(names) {}

  void append(std::span<const uint32_t> ids) {
    while (!ids.empty()) {
      if (!file_) begin_file();
      const auto part = ids.first(std::min<uint64_t>(left_, ids.size()));
      file_->append(part);
      ids = ids.subspan(part.size());
      left_ -= part.size();
      if (left_ > 0) continue;
      file_->commit();
      file_.reset();
    }
  }

 private:
  void begin_file() {
    names_.push_back(strprintf("%s_%06u.bin", split_name(split_), number_));
    left_ = sizes_.at(number_++);
    file_.emplace(folder_ / names_.back(), version_, left_);
  }

  fs::path folder_;
  ShardDirectory::Split split_;
  const Version& version_;
  std::vector<uint64_t> sizes_;
  std::vector<std::string>& names_;
  std::optional<LlmcWriter> file_;
  size_t number_ = 0;
  uint64_t left_ = 0;  // number of tokens that the file still gets
};

class LlmcFile {
 public:
  explicit LlmcFile(const fs::path& path) : file_(path) {
    const uint64_t size = file_.bytes().size();
    if (size < kLlmcHeaderBytes) {
      fail_at(size, strprintf("the file ends here; llm.c's header has %u bytes", kLlmcHeaderBytes));
    }
    const auto magic = field(0), version = field(1), tokens = field(2);
    const Version* const known = magic == kGpt2.magic     ? &kGpt2
                                 : magic == kLlama3.magic ? &kLlama3
                                                          : nullptr;
    if (magic == kEvaluationMagic) fail_at(0, "llm.c's evaluation format, which is not a text");
    if (!known) {
      fail_at(0, strprintf("not a token file of llm.c: magic %d, expected %d or %d", magic,
                           kGpt2.magic, kLlama3.magic));
    }
    if (version != known->version) {
      fail_at(4, strprintf("version %d of magic %d; this program reads version %d", version, magic,
                           known->version));
    }
    token_bytes_ = known->token_bytes;
    if (tokens < 0 || size - kLlmcHeaderBytes != static_cast<uint64_t>(tokens) * token_bytes_) {
      fail_at(8, strprintf("%d tokens of %u bytes do not fit the file of %u bytes", tokens,
                           token_bytes_, size));
    }
    tokens_ = static_cast<uint64_t>(tokens);
  }
  uint64_t tokens() const { return tokens_; }
  uint32_t token(uint64_t index, uint64_t vocab_size) const {
    const uint64_t offset = kLlmcHeaderBytes + index * token_bytes_;
    const std::byte* at = file_.bytes().data() + offset;
    const uint32_t id = token_bytes_ == 2 ? get<uint16_t>(at) : get<uint32_t>(at);
    if (id >= vocab_size) {
      fail_at(offset, strprintf("token id %u is outside the tokenizer's vocabulary of %u: it is "
                                "not the one that the file was made with",
                                id, vocab_size));
    }
    return id;
  }

 private:
  int32_t field(size_t index) const {
    return static_cast<int32_t>(get<uint32_t>(file_.bytes().data() + 4 * index));
  }
  [[noreturn]] void fail_at(uint64_t offset, const std::string& what) const {
    fail(ErrorKind::data, strprintf("%s: byte %u: %s", file_.path(), offset, what));
  }
  MappedFile file_;
  uint32_t token_bytes_ = 0;
  uint64_t tokens_ = 0;
};

}  // namespace

uint32_t boundary_token(const LlmcBoundary& boundary, const Tokenizer& tokenizer) {
  const std::optional<uint32_t> token = boundary.token ? boundary.token : tokenizer.eos_id();
  if (!token) {
    fail(ErrorKind::usage,
         "the tokenizer has no EOS token to tell where documents begin. Name one with "
         "--boundary-token ID.");
  }
  if (*token >= static_cast<uint64_t>(tokenizer.vocab_size())) {
    fail(ErrorKind::usage,
         strprintf("--boundary-token %u is outside the tokenizer's vocabulary of %d", *token,
                   tokenizer.vocab_size()));
  }
  return *token;
}

void write_llmc(const ShardDirectory& shards, const Tokenizer& tokenizer,
                ShardDirectory::Split split, const fs::path& folder, const ExportOptions& options,
                ExportSummary& summary) {
  const Version& version = version_for(options, shards.manifest().vocab_size);
  const uint32_t boundary = boundary_token(options.boundary, tokenizer);
  const std::vector<uint64_t> sizes = file_sizes(shards, split, options);
  summary.tokens = std::accumulate(sizes.begin(), sizes.end(), summary.tokens);
  LlmcSeries files(folder, split, version, sizes, summary.files);
  for_each_document(
      shards, tokenizer, split, 0, shards.documents(split), options.stop, [&](auto ids) {
        if (!options.boundary.at_end) files.append({&boundary, 1});
        files.append(ids);
        if (options.boundary.at_end) files.append({&boundary, 1});
        summary.ambiguous_documents += std::find(ids.begin(), ids.end(), boundary) != ids.end();
      });
}

void read_llmc(const std::vector<fs::path>& files, const Tokenizer& tokenizer,
               const LlmcBoundary& boundary, StopToken stop, const DocumentUse& use) {
  const auto vocab_size = static_cast<uint64_t>(tokenizer.vocab_size());
  const uint32_t token = boundary_token(boundary, tokenizer);
  std::vector<uint32_t> ids;
  // Whether a boundary token has begun a document, which counts even if it is empty.
  bool begun = false;
  for (const fs::path& path : files) {
    const LlmcFile file(path);
    for (uint64_t i = 0; i < file.tokens(); ++i) {
      const uint32_t id = file.token(i, vocab_size);
      if (id != token) {
        ids.push_back(id);
        continue;
      }
      stop.throw_if_stopped();
      if (boundary.at_end || begun || !ids.empty()) use(ids);
      ids.clear();
      begun = !boundary.at_end;
    }
  }
  if (begun || !ids.empty()) use(ids);
}

}  // namespace mythos
