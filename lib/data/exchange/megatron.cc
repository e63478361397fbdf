#include "data/exchange/megatron.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "base/strings.h"
#include "data/shards/shard_format.h"

namespace mythos {
namespace {

using shard_format::get;
using shard_format::put;
using shard_format::put_ids;

constexpr std::string_view kMagic{"MMIDIDX\0\0", 9};
constexpr uint64_t kIndexVersion = 1;
constexpr size_t kIndexHeaderBytes = 34, kLengthBytes = 4, kPointerBytes = 8, kDocumentBytes = 8;
constexpr size_t kTypeOffset = 17, kSequencesOffset = 18, kDocumentsOffset = 26;
// Megatron uses u16 for vocabularies below this size, though 65,536 would fit.
constexpr int64_t kLeastVocabOfI32 = 65500;

struct Type {
  uint8_t code;
  const char* name;
  uint32_t bytes;
  bool is_signed, is_float;
};
constexpr Type kTypes[] = {{1, "u8", 1, false, false}, {2, "i8", 1, true, false},
                           {3, "i16", 2, true, false}, {4, "i32", 4, true, false},
                           {5, "i64", 8, true, false}, {6, "f64", 8, true, true},
                           {7, "f32", 4, true, true},  {8, "u16", 2, false, false}};

const Type& type_of(const std::string& name) {
  for (const Type& type : kTypes) {
    if (name == type.name) return type;
  }
  fail(ErrorKind::internal, "no Megatron type '" + name + "'");
}

const Type& type_for(const ExportOptions& options, int64_t vocab_size) {
  if (options.dtype.empty()) return type_of(vocab_size < kLeastVocabOfI32 ? "u16" : "i32");
  if (options.dtype != "u16" && options.dtype != "i32") {
    fail(ErrorKind::usage, "--dtype " + options.dtype + ": Megatron's files get u16 or i32");
  }
  if (options.dtype == "u16" && vocab_size > 1 << 16) {
    fail(ErrorKind::usage,
         strprintf("--dtype u16 holds ids up to 65,535, but the vocabulary has %s.",
                   with_commas(vocab_size)),
         "Leave out --dtype: --format megatron then takes i32 by itself.");
  }
  return type_of(options.dtype);
}

fs::path with_suffix(const fs::path& path, const char* suffix) {
  const fs::path extension = path.extension();
  fs::path prefix = path;
  if (extension == ".bin" || extension == ".idx") prefix.replace_extension();
  return prefix.string() + suffix;
}

// A token of the given type, not yet compared with the vocabulary.
int64_t token_at(const std::byte* at, uint32_t bytes, bool is_signed) {
  switch (bytes) {
    case 1: {
      const auto value = get<uint8_t>(at);
      return is_signed ? static_cast<int8_t>(value) : value;
    }
    case 2: {
      const auto value = get<uint16_t>(at);
      return is_signed ? static_cast<int16_t>(value) : value;
    }
    case 4:
      return static_cast<int32_t>(get<uint32_t>(at));
    default:
      return static_cast<int64_t>(get<uint64_t>(at));
  }
}

void write_tokens(const ShardDirectory& shards, ShardDirectory::Split split, uint32_t bytes,
                  const fs::path& path, StopToken stop) {
  constexpr uint64_t kBlockTokens = 1 << 16;
  AtomicFile file(path);
  std::vector<uint32_t> ids;
  std::string block;
  for (uint64_t at = 0; at < shards.tokens(split); at += ids.size()) {
    stop.throw_if_stopped();
    ids.resize(std::min(kBlockTokens, shards.tokens(split) - at));
    shards.read(split, at, ids);
    block.clear();
    put_ids(block, ids, bytes);
    file.write(block);
  }
  file.commit();
}

// The number of sequences of at most `most` tokens that a document is cut into.
uint64_t sequences_of(uint64_t tokens, uint64_t most) {
  return (tokens + most - 1) / most;
}

// Calls `use` with each document's first token and length.
void for_each_length(const ShardDirectory& shards, ShardDirectory::Split split,
                     const std::function<void(uint64_t, uint64_t)>& use) {
  uint64_t begin = 0;
  for (uint64_t document = 0; document < shards.documents(split); ++document) {
    const uint64_t end = shards.document_begin(split, document + 1);
    use(begin, end - begin);
    begin = end;
  }
}

void write_index(const ShardDirectory& shards, ShardDirectory::Split split, const Type& type,
                 uint64_t most_tokens, const fs::path& path) {
  uint64_t sequences = 0;
  for_each_length(shards, split, [&](uint64_t, uint64_t tokens) {
    sequences += sequences_of(tokens, most_tokens);
  });
  AtomicFile file(path);
  std::string out(kMagic);
  const auto flush = [&] {
    file.write(out);
    out.clear();
  };
  put<uint64_t>(out, kIndexVersion);
  put<uint8_t>(out, type.code);
  put<uint64_t>(out, sequences);
  put<uint64_t>(out, shards.documents(split) + 1);
  for_each_length(shards, split, [&](uint64_t, uint64_t tokens) {
    for (uint64_t at = 0; at < tokens; at += most_tokens)
      put<uint32_t>(out, static_cast<uint32_t>(std::min(tokens - at, most_tokens)));
    flush();
  });
  for_each_length(shards, split, [&](uint64_t begin, uint64_t tokens) {
    for (uint64_t at = 0; at < tokens; at += most_tokens)
      put<uint64_t>(out, (begin + at) * type.bytes);
    flush();
  });
  uint64_t first = 0;
  for_each_length(shards, split, [&](uint64_t, uint64_t tokens) {
    put<uint64_t>(out, first);
    first += sequences_of(tokens, most_tokens);
    flush();
  });
  put<uint64_t>(out, first);
  flush();
  file.commit();
}

}  // namespace

void write_megatron(const ShardDirectory& shards, ShardDirectory::Split split,
                    const fs::path& folder, const ExportOptions& options, ExportSummary& summary) {
  if (shards.documents(split) == 0) return;
  const Type& type = type_for(options, shards.manifest().vocab_size);
  const std::string name = split_name(split);
  write_tokens(shards, split, type.bytes, folder / (name + ".bin"), options.stop);
  write_index(shards, split, type, options.most_tokens, folder / (name + ".idx"));
  summary.files.push_back(name + ".bin");
  summary.files.push_back(name + ".idx");
  summary.tokens += shards.tokens(split);
}

MegatronFile::MegatronFile(const fs::path& path)
    : index_(with_suffix(path, ".idx")), tokens_(with_suffix(path, ".bin")) {
  check_header();
  check_sequences();
  check_documents();
}

void MegatronFile::fail_index(uint64_t offset, const std::string& what) const {
  fail(ErrorKind::data, strprintf("%s: byte %u: %s", index_.path(), offset, what));
}

// Counts are compared with the file's size before anything is multiplied.
void MegatronFile::check_header() {
  const auto bytes = index_.bytes();
  if (bytes.size() < kIndexHeaderBytes) {
    fail_index(bytes.size(),
               strprintf("the file ends here; the header has %u bytes", kIndexHeaderBytes));
  }
  if (!index_.text().starts_with(kMagic)) fail_index(0, "not an index of Megatron (wrong magic)");
  const auto version = get<uint64_t>(&bytes[kMagic.size()]);
  if (version != kIndexVersion) {
    fail_index(kMagic.size(), strprintf("version %u; this program reads version 1", version));
  }
  const auto code = get<uint8_t>(&bytes[kTypeOffset]);
  if (code == 0 || code > std::size(kTypes)) {
    fail_index(kTypeOffset, strprintf("unknown type code %u; expected 1 to 8", code));
  }
  const Type& type = kTypes[code - 1];
  if (type.is_float) {
    fail_index(kTypeOffset, strprintf("tokens of type %s; expected integers", type.name));
  }
  token_bytes_ = type.bytes;
  signed_ = type.is_signed;
  sequences_ = get<uint64_t>(&bytes[kSequencesOffset]);
  const auto entries = get<uint64_t>(&bytes[kDocumentsOffset]);
  const uint64_t room = bytes.size() - kIndexHeaderBytes;
  const bool plausible = sequences_ <= room && entries <= room && entries > 0;
  const uint64_t expected =
      plausible ? sequences_ * (kLengthBytes + kPointerBytes) + entries * kDocumentBytes : 0;
  if (plausible && room == expected + sequences_) {
    fail_index(kIndexHeaderBytes + expected,
               "a multimodal index (with modes), which is not text alone");
  }
  if (!plausible || room != expected) {
    fail_index(kSequencesOffset,
               strprintf("%u sequences and a document index of %u do not fit the file of %u "
                         "bytes",
                         sequences_, entries, bytes.size()));
  }
  documents_ = entries - 1;
}

void MegatronFile::check_sequences() const {
  const uint64_t size = tokens_.bytes().size();
  uint64_t total = 0;
  for (uint64_t i = 0; i < sequences_; ++i) {
    const auto tokens = static_cast<int32_t>(length(i));
    const uint64_t bytes = static_cast<uint64_t>(std::max(tokens, 0)) * token_bytes_;
    if (tokens < 0 || pointer(i) > size || bytes > size - pointer(i)) {
      fail_index(kIndexHeaderBytes + i * kLengthBytes,
                 strprintf("sequence %u: %d tokens at byte %d do not fit %s of %u bytes", i, tokens,
                           static_cast<int64_t>(pointer(i)), tokens_.path(), size));
    }
    // Each length is at most `size`, and there are fewer than 2^61 lengths.
    if (__builtin_add_overflow(total, bytes, &total)) break;
  }
  if (total != size) {
    fail(ErrorKind::data,
         strprintf("%s: byte %u: the file has %u bytes, but the sequences of %s have %u",
                   tokens_.path(), std::min(size, total), size, index_.path(), total));
  }
}

void MegatronFile::check_documents() const {
  uint64_t least = 0;
  for (uint64_t i = 0; i <= documents_; ++i) {
    const uint64_t first = first_sequence(i);
    const bool ends = i == 0 ? first == 0 : i < documents_ || first == sequences_;
    if (first < least || first > sequences_ || !ends) {
      fail_index(
          kIndexHeaderBytes + sequences_ * (kLengthBytes + kPointerBytes) + i * kDocumentBytes,
          strprintf("entry %u of the document index is %d; expected a rising list from 0 "
                    "to the %u sequences",
                    i, static_cast<int64_t>(first), sequences_));
    }
    least = first;
  }
}

uint64_t MegatronFile::length(uint64_t sequence) const {
  return get<uint32_t>(&index_.bytes()[kIndexHeaderBytes + sequence * kLengthBytes]);
}

uint64_t MegatronFile::pointer(uint64_t sequence) const {
  return get<uint64_t>(
      &index_.bytes()[kIndexHeaderBytes + sequences_ * kLengthBytes + sequence * kPointerBytes]);
}

uint64_t MegatronFile::first_sequence(uint64_t document) const {
  return get<uint64_t>(
      &index_.bytes()[kIndexHeaderBytes + sequences_ * (kLengthBytes + kPointerBytes) +
                      document * kDocumentBytes]);
}

void MegatronFile::read(uint64_t document, uint64_t vocab_size, std::vector<uint32_t>& ids) const {
  ids.clear();
  for (uint64_t i = first_sequence(document); i < first_sequence(document + 1); ++i) {
    const uint64_t begin = pointer(i);
    for (uint64_t token = 0; token < length(i); ++token) {
      const uint64_t offset = begin + token * token_bytes_;
      const int64_t id = token_at(tokens_.bytes().data() + offset, token_bytes_, signed_);
      if (id < 0 || static_cast<uint64_t>(id) >= vocab_size) {
        fail(ErrorKind::data,
             strprintf("%s: byte %u: token id %d is outside the tokenizer's vocabulary of "
                       "%u: it is not the one that the file was made with",
                       tokens_.path(), offset, id, vocab_size));
      }
      ids.push_back(static_cast<uint32_t>(id));
    }
  }
}

}  // namespace mythos
