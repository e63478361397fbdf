#include "data/shards.h"

#include <algorithm>
#include <functional>
#include <list>
#include <mutex>
#include <unordered_map>

#include "base/error.h"
#include "base/strings.h"
#include "data/manifest.h"
#include "data/shard_file.h"

namespace mythos {
namespace {

unsigned long long ull(uint64_t number) {
  return number;
}

// Opens one file and compares it with what the manifest says of it.
ShardFile open_shard(const fs::path& directory, const ShardManifest& manifest,
                     const ShardFileInfo& info) {
  const fs::path path = directory / info.name;
  std::error_code status;
  if (!fs::exists(path, status)) {
    fail(ErrorKind::data, path.string() + ": the shard is missing; the manifest names it");
  }
  if (const uint64_t size = fs::file_size(path, status); !status && size != info.size_bytes) {
    fail(ErrorKind::data,
         strprintf("%s: byte %llu: the file has %llu bytes, the manifest says %llu: it is %s",
                   path.c_str(), ull(std::min(size, info.size_bytes)), ull(size),
                   ull(info.size_bytes), size < info.size_bytes ? "cut off" : "damaged"));
  }
  ShardFile file(path);
  const uint32_t token_bytes = manifest.dtype == "u16" ? 2 : 4;
  if (file.tokens() != info.tokens || file.documents() != info.documents ||
      file.token_bytes() != token_bytes) {
    fail(ErrorKind::data,
         strprintf(
             "%s: byte %llu: %llu tokens of %u bytes in %llu documents, but the manifest says %llu "
             "of %u in %llu",
             path.c_str(), ull(file.size_bytes() - shard_format::kTrailerBytes), ull(file.tokens()),
             file.token_bytes(), ull(file.documents()), ull(info.tokens), token_bytes,
             ull(info.documents)));
  }
  return file;
}

void check_tokenizer(const fs::path& directory, const ShardManifest& manifest) {
  const fs::path path = directory / manifest.tokenizer_file;
  const std::string found = checksum(read_file(path));
  if (found != manifest.tokenizer_fingerprint) {
    fail(ErrorKind::data,
         strprintf("%s: byte 0: fingerprint %s, but the manifest says %s: the file was "
                   "replaced or damaged",
                   path.c_str(), found.c_str(),
                   escaped(manifest.tokenizer_fingerprint, 16).c_str()));
  }
}

using Frame = std::shared_ptr<const std::vector<uint32_t>>;

// The frames read last, shared by all threads.
class FrameCache {
 public:
  template <class Load>
  Frame get(uint64_t key, const Load& load) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = entries_.find(key); found != entries_.end()) {
        recent_.splice(recent_.begin(), recent_, found->second);
        return found->second->second;
      }
    }
    // Not under the lock: threads decompress side by side.
    Frame frame = std::make_shared<const std::vector<uint32_t>>(load());
    const std::lock_guard lock(mutex_);
    if (entries_.contains(key)) return frame;
    recent_.emplace_front(key, frame);
    entries_[key] = recent_.begin();
    if (recent_.size() > kFrames) {
      entries_.erase(recent_.back().first);
      recent_.pop_back();
    }
    return frame;
  }

 private:
  static constexpr size_t kFrames = 64;
  std::mutex mutex_;
  std::list<std::pair<uint64_t, Frame>> recent_;
  std::unordered_map<uint64_t, std::list<std::pair<uint64_t, Frame>>::iterator> entries_;
};

// One split's files as a single stream.
struct Stream {
  std::vector<ShardFile> files;
  std::vector<uint64_t> token_ends, document_ends;  // running totals after each file
  std::vector<uint64_t> frame_begins;               // running totals before each file

  void add(ShardFile file) {
    frame_begins.push_back(files.empty() ? 0 : frame_begins.back() + files.back().frames());
    token_ends.push_back((files.empty() ? 0 : token_ends.back()) + file.tokens());
    document_ends.push_back((files.empty() ? 0 : document_ends.back()) + file.documents());
    files.push_back(std::move(file));
  }
  static size_t file_of(const std::vector<uint64_t>& ends, uint64_t index) {
    return static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), index) - ends.begin());
  }
};

}  // namespace

struct ShardDirectory::State {
  fs::path path;
  ShardManifest manifest;
  Stream streams[2];
  mutable FrameCache cache;

  const Stream& stream(Split split) const { return streams[static_cast<int>(split)]; }
};

ShardDirectory::ShardDirectory(const fs::path& directory) : state_(std::make_unique<State>()) {
  state_->path = directory;
  state_->manifest = read_shard_manifest(directory);
  const ShardManifest& manifest = state_->manifest;
  check_tokenizer(directory, manifest);
  for (const Split split : {Split::train, Split::val}) {
    const SplitInfo& info = split == Split::train ? manifest.train : manifest.val;
    for (const ShardFileInfo& file : info.files) {
      state_->streams[static_cast<int>(split)].add(open_shard(directory, manifest, file));
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
  fail(
      ErrorKind::data,
      strprintf("%s: the shards were made with tokenizer %s, but %s has tokenizer %s.\n"
                "Make shards with the right one: mythos tokenize --tokenizer TOK --output DIR FILE",
                state_->path.c_str(), state_->manifest.tokenizer_fingerprint.c_str(), whose.c_str(),
                fingerprint.c_str()));
}

void ShardDirectory::read(Split split, uint64_t first, std::span<uint32_t> out) const {
  const Stream& stream = state_->stream(split);
  const uint64_t total = tokens(split);
  if (first > total || out.size() > total - first) {
    fail(ErrorKind::internal,
         strprintf("%s: tokens %llu to %llu asked for, but there are %llu", state_->path.c_str(),
                   ull(first), ull(first + out.size()), ull(total)));
  }
  while (!out.empty()) {
    const size_t index = Stream::file_of(stream.token_ends, first);
    const ShardFile& file = stream.files[index];
    const uint64_t in_file = first - (stream.token_ends[index] - file.tokens());
    const uint64_t number = in_file / file.tokens_per_frame();
    const uint64_t key = (stream.frame_begins[index] + number) << 1 | static_cast<uint64_t>(split);
    const Frame frame = state_->cache.get(key, [&] {
      return file.read_frame(number, static_cast<uint64_t>(state_->manifest.vocab_size));
    });
    const uint64_t in_frame = in_file - number * file.tokens_per_frame();
    const size_t size = std::min<size_t>(out.size(), frame->size() - in_frame);
    std::copy_n(frame->begin() + static_cast<ptrdiff_t>(in_frame), size, out.begin());
    out = out.subspan(size);
    first += size;
  }
}

uint64_t ShardDirectory::tokens(Split split) const {
  const auto& ends = state_->stream(split).token_ends;
  return ends.empty() ? 0 : ends.back();
}

uint64_t ShardDirectory::documents(Split split) const {
  const auto& ends = state_->stream(split).document_ends;
  return ends.empty() ? 0 : ends.back();
}

uint64_t ShardDirectory::document_begin(Split split, uint64_t document) const {
  if (document >= documents(split)) return tokens(split);
  const Stream& stream = state_->stream(split);
  const size_t index = Stream::file_of(stream.document_ends, document);
  const ShardFile& file = stream.files[index];
  const uint64_t in_file = document - (stream.document_ends[index] - file.documents());
  return stream.token_ends[index] - file.tokens() + file.document_begin(in_file);
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
  // Not a fault of a shard directory when there is none.
  if (!fs::exists(directory / kManifestName)) read_shard_manifest(directory);
  ShardManifest manifest;
  if (!check([&] { manifest = read_shard_manifest(directory); })) return faults;
  check([&] { check_tokenizer(directory, manifest); });
  for (const SplitInfo* split : {&manifest.train, &manifest.val}) {
    for (const ShardFileInfo& info : split->files) {
      check([&] {
        const ShardFile file = open_shard(directory, manifest, info);
        const size_t before = faults.size();
        for (uint64_t frame = 0; frame < file.frames(); ++frame) {
          check([&] { file.read_frame(frame, static_cast<uint64_t>(manifest.vocab_size)); });
        }
        if (faults.size() == before && file.checksum() != info.checksum) {
          fail(ErrorKind::data,
               strprintf("%s: byte 0: the file's checksum is %s, but the manifest says %s",
                         (directory / info.name).c_str(), file.checksum().c_str(),
                         info.checksum.c_str()));
        }
      });
    }
  }
  return faults;
}

}  // namespace mythos
