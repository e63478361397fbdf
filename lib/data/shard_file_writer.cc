#include "data/shard_file_writer.h"

#include <zstd.h>

#include "base/error.h"
#include "base/strings.h"
#include "data/shard_format.h"

namespace mythos {

using namespace shard_format;

struct ShardFileWriter::Compressor {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  std::string out;
  ~Compressor() { ZSTD_freeCCtx(context); }
};

ShardFileWriter::ShardFileWriter(const fs::path& path, uint32_t token_bytes,
                                 uint32_t tokens_per_frame, int zstd_level)
    : compressor_(std::make_unique<Compressor>()),
      path_(path),
      file_(path),
      token_bytes_(token_bytes),
      tokens_per_frame_(tokens_per_frame) {
  ZSTD_CCtx_setParameter(compressor_->context, ZSTD_c_compressionLevel, zstd_level);
  std::string header(kHeaderMagic);
  put<uint32_t>(header, kVersion);
  put<uint32_t>(header, token_bytes_);
  put<uint32_t>(header, tokens_per_frame_);
  put<uint32_t>(header, 0);
  put<uint64_t>(header, checksum64(std::as_bytes(std::span(header))));
  write(header);
}

ShardFileWriter::~ShardFileWriter() = default;

void ShardFileWriter::write(std::string_view bytes) {
  file_.write(bytes);
  checksum_.update(bytes.data(), bytes.size());
}

void ShardFileWriter::append(std::span<const uint32_t> ids) {
  const size_t frame_bytes = size_t{tokens_per_frame_} * token_bytes_;
  for (const uint32_t id : ids) {
    if (token_bytes_ == 2) {
      put<uint16_t>(frame_, static_cast<uint16_t>(id));
    } else {
      put<uint32_t>(frame_, id);
    }
    if (frame_.size() == frame_bytes) write_frame();
  }
  tokens_ += ids.size();
}

void ShardFileWriter::write_frame() {
  std::string& out = compressor_->out;
  out.resize(ZSTD_compressBound(frame_.size()));
  const size_t size =
      ZSTD_compress2(compressor_->context, out.data(), out.size(), frame_.data(), frame_.size());
  if (ZSTD_isError(size)) {
    fail(ErrorKind::resources,
         strprintf("%s: cannot compress: %s", path_.c_str(), ZSTD_getErrorName(size)));
  }
  put<uint64_t>(frame_table_, file_.size_bytes());
  put<uint32_t>(frame_table_, static_cast<uint32_t>(size));
  put<uint32_t>(frame_table_, static_cast<uint32_t>(frame_.size() / token_bytes_));
  put<uint64_t>(frame_table_, checksum64(std::as_bytes(std::span(out.data(), size))));
  write({out.data(), size});
  frame_.clear();
  ++frames_;
}

ShardFileInfo ShardFileWriter::finish() {
  if (!frame_.empty()) write_frame();
  std::string index = std::move(frame_table_);
  const uint64_t table_offset = file_.size_bytes(), documents_offset = table_offset + index.size();
  for (const uint64_t begin : document_begins_) put<uint64_t>(index, begin);
  write(index);
  std::string trailer;
  put<uint64_t>(trailer, tokens_);
  put<uint64_t>(trailer, document_begins_.size());
  put<uint64_t>(trailer, frames_);
  put<uint64_t>(trailer, table_offset);
  put<uint64_t>(trailer, documents_offset);
  put<uint64_t>(trailer, checksum64(std::as_bytes(std::span(index))));
  put<uint64_t>(trailer, checksum64(std::as_bytes(std::span(trailer))));
  trailer += kTrailerMagic;
  write(trailer);
  file_.commit();
  return {path_.filename().string(), tokens_, document_begins_.size(), file_.size_bytes(),
          checksum_.hex()};
}

}  // namespace mythos
