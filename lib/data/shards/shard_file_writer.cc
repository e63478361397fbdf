#include "data/shards/shard_file_writer.h"

#include <zstd.h>

#include <memory>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "data/shards/shard_format.h"

namespace mythos {

using namespace shard_format;

namespace {

std::string compress(std::string_view frame, int level) {
  thread_local const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(),
                                                                                ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  std::string out(ZSTD_compressBound(frame.size()), '\0');
  const size_t size =
      ZSTD_compress2(context.get(), out.data(), out.size(), frame.data(), frame.size());
  if (ZSTD_isError(size)) {
    fail(ErrorKind::resources, std::string("cannot compress: ") + ZSTD_getErrorName(size));
  }
  out.resize(size);
  return out;
}

}  // namespace

ShardFileWriter::ShardFileWriter(const fs::path& path, uint32_t token_bytes,
                                 uint32_t tokens_per_frame, int zstd_level, WorkerPool* pool)
    : pool_(pool),
      zstd_level_(zstd_level),
      path_(path),
      file_(path),
      documents_(index_path(path)),
      token_bytes_(token_bytes),
      tokens_per_frame_(tokens_per_frame) {
  std::string header(kHeaderMagic);
  put<uint32_t>(header, kVersion);
  put<uint32_t>(header, token_bytes_);
  put<uint32_t>(header, tokens_per_frame_);
  put<uint32_t>(header, 0);
  put<uint64_t>(header, checksum64(std::as_bytes(std::span(header))));
  write(header);
}

ShardFileWriter::ShardFileWriter(const fs::path& path, uint32_t token_bytes,
                                 uint32_t tokens_per_frame, int zstd_level,
                                 const ShardFileState& state, WorkerPool* pool)
    : pool_(pool),
      zstd_level_(zstd_level),
      path_(path),
      file_(OutputFile::go_on(path, state.size_bytes)),
      documents_(OutputFile::go_on(index_path(path), state.documents * sizeof(uint64_t))),
      token_bytes_(token_bytes),
      tokens_per_frame_(tokens_per_frame),
      tokens_(state.tokens),
      frame_(state.frame),
      frame_table_(state.frame_table) {
  const MappedFile content(path), documents(index_path(path));
  check_frames(content.text());
  checksum_.update(content.text().data(), content.text().size());
  documents_checksum_.update(documents.text().data(), documents.text().size());
  if (documents_checksum_.hex() != state.documents_sum) {
    fail(ErrorKind::data, index_path(path).string() + ": the checksum does not match");
  }
}

// Without this check, damage to an unfinished file would get a checksum that hides it.
void ShardFileWriter::check_frames(std::string_view content) const {
  uint64_t offset = kHeaderBytes;
  for (size_t at = 0; at < frame_table_.size(); at += kFrameEntryBytes) {
    const auto* entry = reinterpret_cast<const std::byte*>(frame_table_.data() + at);
    const uint32_t size = get<uint32_t>(entry + 8);
    const std::string_view frame = content.substr(std::min<uint64_t>(offset, content.size()), size);
    if (get<uint64_t>(entry) != offset ||
        checksum64(std::as_bytes(std::span(frame))) != get<uint64_t>(entry + 16)) {
      fail(ErrorKind::data,
           strprintf("%s: byte %u: the checksum of a frame does not match", path_, offset));
    }
    offset += size;
  }
}

void ShardFileWriter::write(std::string_view bytes) {
  file_.write(bytes);
  checksum_.update(bytes.data(), bytes.size());
}

void ShardFileWriter::begin_document() {
  char begin[sizeof(uint64_t)];
  for (size_t i = 0; i < sizeof begin; ++i) begin[i] = static_cast<char>(tokens_ >> (8 * i) & 0xFF);
  documents_.write(begin, sizeof begin);
  documents_checksum_.update(begin, sizeof begin);
}

void ShardFileWriter::append(std::span<const uint32_t> ids) {
  const size_t frame_bytes = size_t{tokens_per_frame_} * token_bytes_;
  tokens_ += ids.size();
  while (!ids.empty()) {
    const size_t room = (frame_bytes - frame_.size()) / token_bytes_;
    const auto part = ids.first(std::min(room, ids.size()));
    put_ids(frame_, part, token_bytes_);
    ids = ids.subspan(part.size());
    if (frame_.size() == frame_bytes) end_frame();
  }
}

void ShardFileWriter::end_frame() {
  const auto tokens = static_cast<uint32_t>(frame_.size() / token_bytes_);
  if (!pool_) {
    write_frame(compress(frame_, zstd_level_), tokens);
    frame_.clear();
    return;
  }
  auto task = std::make_shared<std::packaged_task<std::string()>>(
      [frame = std::exchange(frame_, {}), level = zstd_level_] { return compress(frame, level); });
  pending_.push_back({task->get_future(), tokens});
  pool_->submit([task] { (*task)(); }, true);
  write_frames(4 * pool_->threads() + 4);
}

void ShardFileWriter::write_frames(size_t most_left) {
  for (; pending_.size() > most_left; pending_.pop_front())
    write_frame(pending_.front().compressed.get(), pending_.front().tokens);
}

void ShardFileWriter::write_frame(std::string_view compressed, uint32_t tokens) {
  put<uint64_t>(frame_table_, file_.size_bytes());
  put<uint32_t>(frame_table_, static_cast<uint32_t>(compressed.size()));
  put<uint32_t>(frame_table_, tokens);
  put<uint64_t>(frame_table_, checksum64(std::as_bytes(std::span(compressed))));
  write(compressed);
}

ShardFileState ShardFileWriter::save() {
  write_frames(0);
  file_.sync();
  documents_.sync();
  return {file_.size_bytes(), tokens_, documents(),
          frame_table_,       frame_,  documents_checksum_.hex()};
}

ShardFileInfo ShardFileWriter::finish() {
  if (!frame_.empty()) end_frame();
  write_frames(0);
  documents_.close();
  const MappedFile documents(index_path(path_));
  Checksum index;
  const uint64_t table_offset = file_.size_bytes();
  for (const std::string_view part : {std::string_view(frame_table_), documents.text()}) {
    write(part);
    index.update(part.data(), part.size());
  }
  std::string trailer;
  put<uint64_t>(trailer, tokens_);
  put<uint64_t>(trailer, this->documents());
  put<uint64_t>(trailer, frame_table_.size() / kFrameEntryBytes);
  put<uint64_t>(trailer, table_offset);
  put<uint64_t>(trailer, table_offset + frame_table_.size());
  put<uint64_t>(trailer, index.value());
  put<uint64_t>(trailer, checksum64(std::as_bytes(std::span(trailer))));
  trailer += kTrailerMagic;
  write(trailer);
  file_.sync();
  file_.close();
  return {name(), tokens_, this->documents(), file_.size_bytes(), checksum_.hex()};
}

}  // namespace mythos
