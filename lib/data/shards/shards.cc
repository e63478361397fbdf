#include "data/shards/shards.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <mutex>

#include "base/error.h"
#include "base/strings.h"
#include "data/shards/manifest.h"
#include "data/shards/shard_file.h"
#include "text/tokenizer.h"

namespace mythos {
namespace {

void check_presence(const fs::path& path, uint64_t size_bytes) {
  std::error_code status;
  if (!fs::exists(path, status)) {
    fail(ErrorKind::data, path.string() + ": the shard is missing; the manifest names it");
  }
  // Only a regular file is opened, as opening a pipe would wait for ever.
  if (!fs::is_regular_file(path, status)) {
    fail(ErrorKind::data, path.string() + ": not a regular file");
  }
  if (const uint64_t size = fs::file_size(path, status); !status && size != size_bytes) {
    fail(ErrorKind::data,
         strprintf("%s: byte %u: the file has %u bytes, the manifest says %u: it is %s", path,
                   std::min(size, size_bytes), size, size_bytes,
                   size < size_bytes ? "cut off" : "damaged"));
  }
}

// Opens the mask of a shard file and compares it with what the manifest says about both.
ShardFile open_mask(const fs::path& directory, const ShardFileInfo& info) {
  const fs::path path = directory / info.mask.name;
  check_presence(path, info.mask.size_bytes);
  ShardFile file(path);
  if (file.tokens() != info.tokens || file.documents() != 1 || file.token_bytes() != 2) {
    fail(ErrorKind::data, strprintf("%s: byte %u: marks for %u tokens, but %s has %u", path,
                                    file.size_bytes() - shard_format::kTrailerBytes, file.tokens(),
                                    info.name, info.tokens));
  }
  return file;
}

// Opens a file and compares it with what the manifest says about it.
ShardFile open_shard(const fs::path& directory, const ShardManifest& manifest,
                     const ShardFileInfo& info) {
  const fs::path path = directory / info.name;
  check_presence(path, info.size_bytes);
  ShardFile file(path);
  const uint32_t token_bytes = manifest.dtype == "u16" ? 2 : 4;
  if (file.tokens() != info.tokens || file.documents() != info.documents ||
      file.token_bytes() != token_bytes) {
    fail(ErrorKind::data,
         strprintf("%s: byte %u: %u tokens of %u bytes in %u documents, but the manifest says %u "
                   "of %u in %u",
                   path, file.size_bytes() - shard_format::kTrailerBytes, file.tokens(),
                   file.token_bytes(), file.documents(), info.tokens, token_bytes, info.documents));
  }
  return file;
}

void check_tokenizer(const fs::path& directory, const ShardManifest& manifest) {
  const fs::path path = directory / manifest.tokenizer_file;
  std::error_code status;
  if (fs::exists(path, status) && !fs::is_regular_file(path, status)) {
    fail(ErrorKind::data, path.string() + ": not a regular file");
  }
  const std::string found = tokenizer_fingerprint(MappedFile(path).text(), manifest.tokenizer_file);
  if (found != manifest.tokenizer_fingerprint) {
    fail(ErrorKind::data,
         strprintf("%s: byte 0: fingerprint %s, but the manifest says %s: the file was "
                   "replaced or damaged",
                   path, found, escaped(manifest.tokenizer_fingerprint, 16)));
  }
}

using Frame = std::shared_ptr<const std::vector<std::byte>>;

// The frames that were read last, shared by all threads.
class FrameCache {
 public:
  using Key = std::pair<const ShardFile*, uint64_t>;  // a frame of a file

  template <class Load>
  Frame get(const Key& key, const Load& load) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = entries_.find(key); found != entries_.end()) {
        recent_.splice(recent_.begin(), recent_, found->second);
        return found->second->second;
      }
    }
    // Decompression happens outside the lock, so that threads decompress side by side.
    auto frame = std::make_shared<std::vector<std::byte>>();
    load(*frame);
    const std::lock_guard lock(mutex_);
    if (entries_.contains(key)) return frame;
    recent_.emplace_front(key, frame);
    entries_[key] = recent_.begin();
    size_bytes_ += frame->size();
    while (size_bytes_ > kMaxBytes && recent_.size() > 1) {
      size_bytes_ -= recent_.back().second->size();
      entries_.erase(recent_.back().first);
      recent_.pop_back();
    }
    return frame;
  }

 private:
  static constexpr size_t kMaxBytes = 4 << 20;
  std::mutex mutex_;
  size_t size_bytes_ = 0;
  std::list<std::pair<Key, Frame>> recent_;
  std::map<Key, std::list<std::pair<Key, Frame>>::iterator> entries_;
};

// A file that is opened when a thread first asks for it. A file that fails to open fails each time.
class LazyShard {
 public:
  template <class Open>
  const ShardFile& get(const Open& open) {
    if (const ShardFile* file = ready_.load(std::memory_order_acquire)) return *file;
    const std::lock_guard lock(mutex_);
    if (!file_) file_ = std::make_unique<const ShardFile>(open());
    ready_.store(file_.get(), std::memory_order_release);
    return *file_;
  }

 private:
  std::mutex mutex_;
  std::unique_ptr<const ShardFile> file_;
  std::atomic<const ShardFile*> ready_ = nullptr;
};

// The files of a split as a single stream.
struct Stream {
  // Running totals at the beginning of each file, and at the end.
  std::vector<uint64_t> token_begins = {0}, document_begins = {0};
  mutable std::deque<LazyShard> files, masks;

  // The index of the file that holds a token or document, by the running totals.
  static size_t file_of(const std::vector<uint64_t>& begins, uint64_t index) {
    return static_cast<size_t>(std::upper_bound(begins.begin(), begins.end(), index) -
                               begins.begin()) -
           1;
  }
};

}  // namespace

struct ShardDirectory::State {
  fs::path path;
  ShardManifest manifest;
  Stream streams[2];
  FrameCache cache;

  const Stream& stream(Split split) const { return streams[static_cast<int>(split)]; }
  const SplitInfo& info(Split split) const {
    return split == Split::train ? manifest.train : manifest.val;
  }
  const ShardFile& file(Split split, size_t index) const {
    return stream(split).files[index].get(
        [&] { return open_shard(path, manifest, info(split).files[index]); });
  }
  const ShardFile& mask(Split split, size_t index) const {
    return stream(split).masks[index].get(
        [&] { return open_mask(path, info(split).files[index]); });
  }

  // Reads values of the files that `file` gives by their index, all of which are below `limit`.
  template <class File>
  void read(Split split, uint64_t first, std::span<uint32_t> out, uint64_t limit, const File& file);
};

ShardDirectory::ShardDirectory(const fs::path& directory) : state_(std::make_unique<State>()) {
  state_->path = directory;
  state_->manifest = read_shard_manifest(directory);
  check_tokenizer(directory, state_->manifest);
  for (const Split split : {Split::train, Split::val}) {
    Stream& stream = state_->streams[static_cast<int>(split)];
    for (const ShardFileInfo& file : state_->info(split).files) {
      check_presence(directory / file.name, file.size_bytes);
      if (state_->manifest.masked) check_presence(directory / file.mask.name, file.mask.size_bytes);
      stream.token_begins.push_back(stream.token_begins.back() + file.tokens);
      stream.document_begins.push_back(stream.document_begins.back() + file.documents);
      stream.files.emplace_back();
      stream.masks.emplace_back();
    }
  }
}

ShardDirectory::~ShardDirectory() = default;
ShardDirectory::ShardDirectory(ShardDirectory&&) noexcept = default;

const fs::path& ShardDirectory::path() const {
  return state_->path;
}
const ShardManifest& ShardDirectory::manifest() const {
  return state_->manifest;
}

void ShardDirectory::require_tokenizer(const std::string& fingerprint,
                                       const std::string& whose) const {
  if (fingerprint == state_->manifest.tokenizer_fingerprint) return;
  fail(ErrorKind::data,
       strprintf("%s: the shards were made with tokenizer %s, but %s has tokenizer %s.",
                 state_->path, state_->manifest.tokenizer_fingerprint, whose, fingerprint),
       "Make shards with the right one: mythos tokenize --tokenizer TOK --output DIR FILE");
}

template <class File>
void ShardDirectory::State::read(Split split, uint64_t first, std::span<uint32_t> out,
                                 uint64_t limit, const File& file_at) {
  const Stream& stream = this->stream(split);
  const uint64_t total = stream.token_begins.back();
  if (first > total || out.size() > total - first) {
    fail(ErrorKind::internal, strprintf("%s: tokens %u to %u asked for, but there are %u", path,
                                        first, first + out.size(), total));
  }
  while (!out.empty()) {
    const size_t index = Stream::file_of(stream.token_begins, first);
    const ShardFile& file = file_at(index);
    const uint64_t in_file = first - stream.token_begins[index];
    const uint64_t number = in_file / file.tokens_per_frame();
    const uint64_t in_frame = in_file % file.tokens_per_frame();
    const uint64_t frame_tokens = file.frame_tokens(number);
    const size_t size = std::min<size_t>(out.size(), frame_tokens - in_frame);
    if (size == frame_tokens) {
      // The buffer holds nothing that a later call needs.
      thread_local std::vector<std::byte> raw;
      file.read_frame(number, limit, raw);
      file.unpack(raw, 0, out.first(size));
    } else {
      const Frame frame = cache.get({&file, number}, [&](std::vector<std::byte>& raw) {
        file.read_frame(number, limit, raw);
      });
      file.unpack(*frame, in_frame, out.first(size));
    }
    out = out.subspan(size);
    first += size;
  }
}

void ShardDirectory::read(Split split, uint64_t first, std::span<uint32_t> out) const {
  state_->read(split, first, out, static_cast<uint64_t>(state_->manifest.vocab_size),
               [&](size_t index) -> const ShardFile& { return state_->file(split, index); });
}

void ShardDirectory::read_mask(Split split, uint64_t first, std::span<uint32_t> out) const {
  if (!masked()) {
    std::fill(out.begin(), out.end(), 1);
    return;
  }
  state_->read(split, first, out, 2,
               [&](size_t index) -> const ShardFile& { return state_->mask(split, index); });
}

bool ShardDirectory::masked() const {
  return state_->manifest.masked;
}

uint64_t ShardDirectory::counted(Split split) const {
  return masked() ? state_->info(split).counted : tokens(split);
}

void ShardDirectory::require_counted(Split split) const {
  if (tokens(split) == 0 || counted(split) > 0) return;
  fail(ErrorKind::data,
       strprintf("%s: every target of the %s split is masked: none of its %u tokens counts, so "
                 "there is nothing to learn or to measure.",
                 state_->path, split_name(split), tokens(split)),
       "Look at the masks: mythos shards cat " + state_->path.string() + " --split " +
           split_name(split) + " --mask");
}

uint64_t ShardDirectory::tokens(Split split) const {
  return state_->stream(split).token_begins.back();
}

uint64_t ShardDirectory::documents(Split split) const {
  return state_->stream(split).document_begins.back();
}

uint64_t ShardDirectory::document_begin(Split split, uint64_t document) const {
  if (document >= documents(split)) return tokens(split);
  const Stream& stream = state_->stream(split);
  const size_t index = Stream::file_of(stream.document_begins, document);
  return stream.token_begins[index] +
         state_->file(split, index).document_begin(document - stream.document_begins[index]);
}

uint64_t ShardDirectory::document_of(Split split, uint64_t token) const {
  if (token >= tokens(split)) return documents(split);
  const Stream& stream = state_->stream(split);
  const size_t index = Stream::file_of(stream.token_begins, token);
  const uint64_t in_file =
      state_->file(split, index).document_of(token - stream.token_begins[index]);
  return stream.document_begins[index] + in_file;
}

const char* split_name(ShardDirectory::Split split) {
  return split == ShardDirectory::Split::train ? "train" : "val";
}

std::vector<std::string> verify_shards(const fs::path& directory) {
  std::vector<std::string> faults;
  const auto check = [&](const std::function<void()>& step) {
    try {
      step();
      return true;
    } catch (const Error& error) {
      faults.push_back(error.what());
      return false;
    }
  };
  // A missing directory is no fault of a shard directory, so it fails.
  if (!fs::exists(directory / kShardManifestName)) read_shard_manifest(directory);
  ShardManifest manifest;
  if (!check([&] { manifest = read_shard_manifest(directory); })) return faults;
  check([&] { check_tokenizer(directory, manifest); });
  std::vector<std::byte> raw;
  // Reads all frames of a file, whose values are below `limit`; `use` is called for each.
  const auto check_content = [&](const ShardFile& file, const std::string& name, uint64_t limit,
                                 const std::string& expected, const auto& use) {
    file.check_document_index();
    const size_t before = faults.size();
    for (uint64_t frame = 0; frame < file.frames(); ++frame) {
      if (check([&] { file.read_frame(frame, limit, raw); })) use(file.frame_tokens(frame));
    }
    if (faults.size() == before && file.checksum() != expected) {
      fail(ErrorKind::data,
           strprintf("%s: byte 0: the file's checksum is %s, but the manifest says %s",
                     directory / name, file.checksum(), expected));
    }
    return faults.size() == before;
  };
  for (const SplitInfo* split : {&manifest.train, &manifest.val}) {
    for (const ShardFileInfo& info : split->files) {
      check([&] {
        const ShardFile file = open_shard(directory, manifest, info);
        check_content(file, info.name, static_cast<uint64_t>(manifest.vocab_size), info.checksum,
                      [](uint64_t) {});
      });
      if (!manifest.masked) continue;
      check([&] {
        const ShardFile file = open_mask(directory, info);
        uint64_t counted = 0;
        std::vector<uint32_t> marks;
        const bool whole =
            check_content(file, info.mask.name, 2, info.mask.checksum, [&](uint64_t tokens) {
              marks.resize(tokens);
              file.unpack(raw, 0, marks);
              counted += static_cast<uint64_t>(std::count(marks.begin(), marks.end(), 1u));
            });
        if (whole && counted != info.mask.counted) {
          fail(ErrorKind::data, strprintf("%s: byte 0: %u tokens count, but the manifest says %u",
                                          directory / info.mask.name, counted, info.mask.counted));
        }
      });
    }
  }
  return faults;
}

}  // namespace mythos
