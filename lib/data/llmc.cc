#include "data/llmc.h"

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "data/shard_format.h"
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
constexpr size_t kHeaderBytes = 256 * 4;

const Version& version_for(const ExportOptions& options, int64_t vocab_size) {
  const bool small = vocab_size <= 1 << 16;
  if (options.dtype.empty()) return small ? kGpt2 : kLlama3;
  if (options.dtype != kGpt2.dtype && options.dtype != kLlama3.dtype) {
    fail(ErrorKind::usage, "--dtype " + options.dtype + ": llm.c has u16 and u32");
  }
  if (options.dtype == kLlama3.dtype) return kLlama3;
  if (!small) {
    fail(ErrorKind::usage,
         strprintf("--dtype u16 holds ids up to 65,535, but the vocabulary has %s.\n"
                   "Leave out --dtype: --format llmc then takes the version with u32 by itself.",
                   with_commas(vocab_size).c_str()));
  }
  return kGpt2;
}

// Writes one file; the number of tokens is known beforehand.
class LlmcWriter {
 public:
  LlmcWriter(const fs::path& path, const Version& version, uint64_t tokens)
      : file_(path), token_bytes_(version.token_bytes) {
    std::string header;
    put<uint32_t>(header, static_cast<uint32_t>(version.magic));
    put<uint32_t>(header, static_cast<uint32_t>(version.version));
    put<uint32_t>(header, static_cast<uint32_t>(tokens));
    header.resize(kHeaderBytes, '\0');
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

// Documents first … end-1 and the tokens that they make with one boundary token each.
struct Run {
  uint64_t end = 0, tokens = 0;
};

Run next_run(const ShardDirectory& shards, ShardDirectory::Split split, uint64_t first,
             uint64_t tokens_per_file) {
  const int64_t change = 1 - shards.manifest().bos - shards.manifest().eos;
  Run run = {first, 0};
  uint64_t begin = shards.document_begin(split, first);
  while (run.end < shards.documents(split) && run.tokens < tokens_per_file) {
    const uint64_t next = shards.document_begin(split, ++run.end);
    run.tokens += next - begin + static_cast<uint64_t>(change);
    begin = next;
  }
  if (run.tokens > INT32_MAX) {
    fail(ErrorKind::data,
         strprintf("%s: %s document %llu ends in a file of %llu tokens; llm.c's have at most %d",
                   shards.path().c_str(), split_name(split), ull(run.end - 1), ull(run.tokens),
                   INT32_MAX));
  }
  return run;
}

class LlmcFile {
 public:
  explicit LlmcFile(const fs::path& path) : file_(path) {
    const uint64_t size = file_.bytes().size();
    if (size < kHeaderBytes) {
      fail_at(size, strprintf("the file ends here; llm.c's header has %zu bytes", kHeaderBytes));
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
    if (tokens < 0 || size - kHeaderBytes != static_cast<uint64_t>(tokens) * token_bytes_) {
      fail_at(8, strprintf("%d tokens of %u bytes do not fit the file of %llu bytes", tokens,
                           token_bytes_, ull(size)));
    }
    tokens_ = static_cast<uint64_t>(tokens);
  }
  uint64_t tokens() const { return tokens_; }
  uint32_t token(uint64_t index, uint64_t vocab_size) const {
    const uint64_t offset = kHeaderBytes + index * token_bytes_;
    const std::byte* at = file_.bytes().data() + offset;
    const uint32_t id = token_bytes_ == 2 ? get<uint16_t>(at) : get<uint32_t>(at);
    if (id >= vocab_size) {
      fail_at(offset, strprintf("token id %u is outside the tokenizer's vocabulary of %llu: it is "
                                "not the one that the file was made with",
                                id, ull(vocab_size)));
    }
    return id;
  }

 private:
  int32_t field(size_t index) const {
    return static_cast<int32_t>(get<uint32_t>(file_.bytes().data() + 4 * index));
  }
  [[noreturn]] void fail_at(uint64_t offset, const std::string& what) const {
    fail(ErrorKind::data,
         strprintf("%s: byte %llu: %s", file_.path().c_str(), ull(offset), what.c_str()));
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
         strprintf("--boundary-token %u is outside the tokenizer's vocabulary of %lld", *token,
                   static_cast<long long>(tokenizer.vocab_size())));
  }
  return *token;
}

void write_llmc(const ShardDirectory& shards, const Tokenizer& tokenizer,
                ShardDirectory::Split split, const fs::path& folder, const ExportOptions& options,
                ExportSummary& summary) {
  const Version& version = version_for(options, shards.manifest().vocab_size);
  const uint32_t boundary = boundary_token(options.boundary, tokenizer);
  for (uint64_t first = 0, number = 0; first < shards.documents(split); ++number) {
    const Run run = next_run(shards, split, first, options.tokens_per_file);
    summary.files.push_back(strprintf("%s_%06llu.bin", split_name(split), ull(number)));
    LlmcWriter writer(folder / summary.files.back(), version, run.tokens);
    for_each_document(shards, tokenizer, split, first, run.end, [&](auto ids) {
      if (!options.boundary.at_end) writer.append({&boundary, 1});
      writer.append(ids);
      if (options.boundary.at_end) writer.append({&boundary, 1});
      summary.ambiguous_documents += std::find(ids.begin(), ids.end(), boundary) != ids.end();
    });
    writer.commit();
    summary.tokens += run.tokens;
    first = run.end;
  }
}

void read_llmc(const std::vector<fs::path>& files, const Tokenizer& tokenizer,
               const LlmcBoundary& boundary, const DocumentUse& use) {
  const auto vocab_size = static_cast<uint64_t>(tokenizer.vocab_size());
  const uint32_t token = boundary_token(boundary, tokenizer);
  std::vector<uint32_t> ids;
  bool begun = false;  // a document was begun by its boundary token: it counts even when empty
  for (const fs::path& path : files) {
    const LlmcFile file(path);
    for (uint64_t i = 0; i < file.tokens(); ++i) {
      const uint32_t id = file.token(i, vocab_size);
      if (id != token) {
        ids.push_back(id);
        continue;
      }
      throw_if_stopped();
      if (boundary.at_end || begun || !ids.empty()) use(ids);
      ids.clear();
      begun = !boundary.at_end;
    }
  }
  if (begun || !ids.empty()) use(ids);
}

}  // namespace mythos
