#include "data/shards/shard_file.h"

#include <zstd.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {

using namespace shard_format;

namespace {

struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

ZSTD_DCtx* decompressor() {
  thread_local std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  return context.get();
}

template <class T>
uint32_t largest_id(std::span<const std::byte> raw) {
  T largest = 0;
  for (size_t i = 0; i < raw.size(); i += sizeof(T)) largest = std::max(largest, get<T>(&raw[i]));
  return largest;
}

}  // namespace

ShardFile::ShardFile(const fs::path& path) : file_(path) {
  const uint64_t size = size_bytes();
  if (size < kHeaderBytes + kTrailerBytes) {
    fail_at(size, strprintf("the file ends here; a shard has at least %u bytes",
                            kHeaderBytes + kTrailerBytes));
  }
  check_header();
  check_trailer();
  check_frame_table();
}

void ShardFile::fail_at(uint64_t offset, const std::string& what) const {
  fail(ErrorKind::data, strprintf("%s: byte %u: %s", file_.path(), offset, what));
}

void ShardFile::check_header() {
  if (std::memcmp(at(0), kHeaderMagic.data(), kHeaderMagic.size()) != 0) {
    fail_at(0, "not a token shard (wrong magic)");
  }
  const auto version = get<uint32_t>(at(8));
  if (version != kVersion) {
    fail_at(8, strprintf("shard version %u; this program reads version %u", version, kVersion));
  }
  if (checksum64(file_.bytes().first(24)) != get<uint64_t>(at(24))) {
    fail_at(0, "the header's checksum differs: the file is damaged");
  }
  header_ = {get<uint32_t>(at(12)), get<uint32_t>(at(16))};
  if (header_.token_bytes != 2 && header_.token_bytes != 4) {
    fail_at(12, strprintf("tokens of %u bytes; expected 2 or 4", header_.token_bytes));
  }
  if (header_.tokens_per_frame == 0 || header_.tokens_per_frame > kMaxTokensPerFrame) {
    fail_at(16, strprintf("%u tokens per frame; expected 1 to %u", header_.tokens_per_frame,
                          kMaxTokensPerFrame));
  }
}

// Counts and offsets are compared with the file's size before anything is multiplied or allocated.
void ShardFile::check_trailer() {
  const uint64_t size = size_bytes(), begin = size - kTrailerBytes;
  if (std::memcmp(at(size - 8), kTrailerMagic.data(), kTrailerMagic.size()) != 0) {
    fail_at(size - 8, "the shard's end mark is missing: the file is cut off or damaged");
  }
  if (checksum64(file_.bytes().subspan(begin, 48)) != get<uint64_t>(at(begin + 48))) {
    fail_at(begin, "the trailer's checksum differs: the file is damaged");
  }
  trailer_ = {get<uint64_t>(at(begin)),      get<uint64_t>(at(begin + 8)),
              get<uint64_t>(at(begin + 16)), get<uint64_t>(at(begin + 24)),
              get<uint64_t>(at(begin + 32)), get<uint64_t>(at(begin + 40))};
  const Trailer& t = trailer_;
  const bool counts = t.frames > 0 && t.frames <= size / kFrameEntryBytes && t.documents > 0 &&
                      t.documents <= size / kDocumentEntryBytes && t.documents <= t.tokens &&
                      t.tokens <= t.frames * header_.tokens_per_frame &&
                      t.tokens > (t.frames - 1) * header_.tokens_per_frame;
  if (!counts) {
    fail_at(begin, strprintf("impossible counts: %u tokens, %u documents, %u frames of %u",
                             t.tokens, t.documents, t.frames, header_.tokens_per_frame));
  }
  const bool offsets =
      t.frame_table_offset >= kHeaderBytes && t.frame_table_offset <= begin &&
      t.document_index_offset == t.frame_table_offset + t.frames * kFrameEntryBytes &&
      begin == t.document_index_offset + t.documents * kDocumentEntryBytes;
  if (!offsets) {
    fail_at(begin + 24, strprintf("the indexes at %u and %u do not fit the file of %u bytes",
                                  t.frame_table_offset, t.document_index_offset, size));
  }
}

FrameEntry ShardFile::frame_entry(uint64_t frame) const {
  const std::byte* entry = at(trailer_.frame_table_offset + frame * kFrameEntryBytes);
  return {get<uint64_t>(entry), get<uint32_t>(entry + 8), get<uint32_t>(entry + 12),
          get<uint64_t>(entry + 16)};
}

void ShardFile::check_frame_table() const {
  uint64_t offset = kHeaderBytes, tokens = trailer_.tokens;
  for (uint64_t frame = 0; frame < trailer_.frames; ++frame) {
    const FrameEntry entry = frame_entry(frame);
    const uint64_t expected = std::min<uint64_t>(tokens, header_.tokens_per_frame);
    if (entry.offset != offset || entry.size > trailer_.frame_table_offset - offset ||
        entry.tokens != expected) {
      fail_at(trailer_.frame_table_offset + frame * kFrameEntryBytes,
              strprintf("frame %u: %u bytes at %u with %u tokens do not fit the file", frame,
                        entry.size, entry.offset, entry.tokens));
    }
    offset += entry.size;
    tokens -= expected;
  }
  if (offset != trailer_.frame_table_offset) {
    fail_at(offset, "bytes between the last frame and the frame table");
  }
}

// Two threads may check at the same time; the result is the same.
void ShardFile::check_document_index() const {
  if (documents_checked_->load(std::memory_order_acquire)) return;
  const uint64_t end = size_bytes() - kTrailerBytes;
  const auto indexes =
      file_.bytes().subspan(trailer_.frame_table_offset, end - trailer_.frame_table_offset);
  if (checksum64(indexes) != trailer_.index_checksum) {
    fail_at(trailer_.frame_table_offset,
            "the checksum of frame table and document index differs: the file is damaged");
  }
  uint64_t least = 0, most = 0;  // where a document may begin: the first at 0, others later
  for (uint64_t document = 0; document < trailer_.documents; ++document) {
    const uint64_t begin = document_entry(document);
    if (begin < least || begin > most) {
      fail_at(trailer_.document_index_offset + document * kDocumentEntryBytes,
              strprintf("document %u cannot begin at token %u", document, begin));
    }
    least = begin + 1;
    most = trailer_.tokens - 1;
  }
  documents_checked_->store(true, std::memory_order_release);
}

uint64_t ShardFile::document_entry(uint64_t document) const {
  return get<uint64_t>(at(trailer_.document_index_offset + document * kDocumentEntryBytes));
}

uint64_t ShardFile::document_begin(uint64_t document) const {
  if (document >= trailer_.documents) return trailer_.tokens;
  check_document_index();
  return document_entry(document);
}

uint64_t ShardFile::document_of(uint64_t token) const {
  uint64_t low = 0, high = trailer_.documents;
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    (document_begin(middle) <= token ? low : high) = middle;
  }
  return low;
}

void ShardFile::read_frame(uint64_t frame, uint64_t vocab_size, std::vector<std::byte>& raw) const {
  const FrameEntry entry = frame_entry(frame);
  const auto compressed = file_.bytes().subspan(entry.offset, entry.size);
  if (checksum64(compressed) != entry.checksum) {
    fail_at(entry.offset, strprintf("frame %u: the checksum differs: the file is damaged", frame));
  }
  const size_t expected = size_t{entry.tokens} * header_.token_bytes;
  const auto refuse = [&](const char* why) {
    fail_at(entry.offset,
            strprintf("frame %u: does not decompress to %u tokens (%s)", frame, entry.tokens, why));
  };
  // The frame's own statement of its size is checked first, so that a small file cannot ask for
  // much memory.
  const auto stated = ZSTD_getFrameContentSize(compressed.data(), compressed.size());
  if (stated == ZSTD_CONTENTSIZE_ERROR) refuse("not a zstd frame");
  if (stated != ZSTD_CONTENTSIZE_UNKNOWN && stated != expected) refuse("another size is stated");
  raw.resize(expected);
  const size_t size = ZSTD_decompressDCtx(decompressor(), raw.data(), raw.size(), compressed.data(),
                                          compressed.size());
  if (ZSTD_isError(size)) refuse(ZSTD_getErrorName(size));
  if (size != expected) refuse("short");
  const uint32_t largest =
      header_.token_bytes == 2 ? largest_id<uint16_t>(raw) : largest_id<uint32_t>(raw);
  if (largest >= vocab_size) {
    fail_at(entry.offset, strprintf("frame %u: token id %u is outside the vocabulary of %u", frame,
                                    largest, vocab_size));
  }
}

void ShardFile::unpack(std::span<const std::byte> raw, uint64_t first,
                       std::span<uint32_t> out) const {
  const std::byte* at = raw.data() + first * header_.token_bytes;
  if (header_.token_bytes == 2) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = get<uint16_t>(at + 2 * i);
  } else {
    for (size_t i = 0; i < out.size(); ++i) out[i] = get<uint32_t>(at + 4 * i);
  }
}

}  // namespace mythos
