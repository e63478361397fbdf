// Fuzz target for everything that reads token files: shard files, manifests of shard directories,
// and the files of llm.c and Megatron; and for PyTorch's files of weights. Their first bytes tell
// them apart. Whatever the input, the
// reader either reads it or fails with an Error of kind `data`.
//
//   shard_fuzz CORPUS [MUTATIONS [SEED]]
//
// runs the files of a folder, and then as many mutations of them; in half of those the checksums
// are made right again, so that mutations get behind them. With clang, as a libFuzzer target:
//
//   CXX=clang++ cmake -S . -B build-fuzz -G Ninja -DMYTHOS_TORCH=OFF -DMYTHOS_SANITIZE=ON
//   -DMYTHOS_FUZZ=ON ninja -C build-fuzz shard_libfuzzer && build-fuzz/bin/tests/shard_libfuzzer
//   tests/fuzz/corpus
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/error.h"
#include "base/rng.h"
#include "base/torch_archive.h"
#include "data/exchange/llmc.h"
#include "data/exchange/megatron.h"
#include "data/number_tokenizer.h"
#include "data/plain_file.h"
#include "data/shards/manifest.h"
#include "data/shards/shard_file.h"
#include "shard_bytes.h"

using namespace mythos;

namespace {

constexpr uint64_t kVocabSize = 300;
constexpr uint32_t kLlmcMagics[] = {20240520, 20240801};

enum class Kind { shard, manifest, llmc, megatron, torch };

Kind kind_of(const std::string& input) {
  if (input.starts_with('{')) return Kind::manifest;
  if (input.starts_with("MMIDIDX")) return Kind::megatron;
  if (is_torch_archive(input)) return Kind::torch;
  for (const uint32_t magic : kLlmcMagics) {
    if (input.size() >= 4 && std::memcmp(input.data(), &magic, 4) == 0) return Kind::llmc;
  }
  return Kind::shard;
}

// Where the input lies while it is read; after a crash, the last one is found there.
class Workplace {
 public:
  Workplace() {
    std::string name = (fs::temp_directory_path() / "mythos-fuzz-XXXXXX").string();
    path_ = mkdtemp(name.data());
    fs::copy(fs::path(MYTHOS_SOURCE_DIR) / "tests/golden/shards-v1", path_ / "shards");
  }
  ~Workplace() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

const Workplace& workplace() {
  static const Workplace workplace;
  return workplace;
}

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "the reader accepted a file, but %s\n", what);
  std::abort();
}

void read_shard(const fs::path& path) {
  const ShardFile file(path);
  std::vector<std::byte> raw;
  std::vector<uint32_t> ids;
  uint64_t tokens = 0;
  for (uint64_t frame = 0; frame < file.frames(); ++frame) {
    file.read_frame(frame, kVocabSize, raw);
    ids.resize(file.frame_tokens(frame));
    file.unpack(raw, 0, ids);
    require(std::all_of(ids.begin(), ids.end(), [](uint32_t id) { return id < kVocabSize; }),
            "an id is outside the vocabulary");
    tokens += ids.size();
  }
  require(tokens == file.tokens(), "the frames' tokens are not the file's");
  for (uint64_t document = 0; document < file.documents(); ++document) {
    const uint64_t begin = file.document_begin(document), end = file.document_begin(document + 1);
    require(begin < end && end <= tokens, "a document is empty or outside");
    require(file.document_of(begin) == document && file.document_of(end - 1) == document,
            "a token is not in its document");
  }
}

void read_directory(const fs::path& path) {
  verify_shards(path);
  const ShardDirectory shards(path);
  for (const auto split : {ShardDirectory::Split::train, ShardDirectory::Split::val}) {
    std::vector<uint32_t> ids(std::min<uint64_t>(shards.tokens(split), 1 << 16));
    shards.read(split, 0, ids);
    shards.document_begin(split, shards.documents(split) / 2);
  }
}

template <class T>
T number_at(const std::string& input, size_t offset) {
  T value = 0;
  if (offset + sizeof value <= input.size())
    std::memcpy(&value, input.data() + offset, sizeof value);
  return value;
}

// The tokens that an index describes: as many bytes as its sequences have, so that what is behind
// that check is reached.
std::string tokens_for(const std::string& index) {
  constexpr uint64_t kMostBytes = 4096, kWidths[] = {0, 1, 1, 2, 4, 8, 8, 4, 2};
  const auto code = std::min<size_t>(number_at<uint8_t>(index, 17), 8);
  const uint64_t sequences = std::min<uint64_t>(number_at<uint64_t>(index, 18), 64);
  uint64_t tokens = 0;
  for (uint64_t i = 0; i < sequences; ++i) tokens += number_at<uint32_t>(index, 34 + 4 * i);
  return std::string(std::min(tokens * kWidths[code], kMostBytes), '\1');
}

void read_index(const fs::path& path, const std::string& index) {
  write_plain(fs::path(path).replace_extension(".bin"), tokens_for(index));
  const MegatronFile file(path);
  std::vector<uint32_t> ids;
  for (uint64_t document = 0; document < file.documents(); ++document)
    file.read(document, kVocabSize, ids);
}

void read_weights(const fs::path& path) {
  const MappedFile file(path);
  for (const TorchTensor& tensor : read_torch_archive(file)) {
    uint64_t last = 0;
    bool empty = false;
    require(tensor.shape.size() == tensor.strides.size(), "a shape has other strides");
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      empty = empty || tensor.shape[i] == 0;
      last += static_cast<uint64_t>(tensor.shape[i] - 1) * static_cast<uint64_t>(tensor.strides[i]);
    }
    if (empty) continue;
    const uint64_t end = tensor.begin + (last + 1) * element_bytes(tensor.type);
    require(tensor.begin < end && end <= file.bytes().size(), "a tensor is outside the file");
  }
}

void run_one(const std::string& input) {
  static const test::NumberTokenizer tokenizer(kVocabSize);
  const Kind kind = kind_of(input);
  const char* const names[] = {"input.shard", "shards/manifest.json", "input.llmc", "input.idx",
                               "input.bin"};
  const fs::path path = workplace() / names[static_cast<int>(kind)];
  write_plain(path, input);
  try {
    switch (kind) {
      case Kind::shard:
        return read_shard(path);
      case Kind::manifest:
        return read_directory(path.parent_path());
      case Kind::llmc:
        return read_llmc({path}, tokenizer, {}, {}, [](std::span<const uint32_t>) {});
      case Kind::megatron:
        return read_index(path, input);
      case Kind::torch:
        return read_weights(path);
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::data) return;
    std::fprintf(stderr, "%s\n", error.what());
    std::abort();
  }
}

// Makes checksums right, and sizes of the file where they are all that is compared.
std::string sealed(const std::string& input) {
  switch (kind_of(input)) {
    case Kind::shard: {
      ShardBytes shard(input);
      shard.seal();
      return shard.content();
    }
    case Kind::manifest:
      return seal_manifest(input);
    case Kind::llmc: {
      std::string out = input;
      const uint64_t width = number_at<uint32_t>(input, 0) == kLlmcMagics[0] ? 2 : 4;
      const auto tokens =
          static_cast<uint32_t>((std::max<size_t>(out.size(), 1024) - 1024) / width);
      if (out.size() >= 1024) std::memcpy(out.data() + 8, &tokens, sizeof tokens);
      return out;
    }
    default:
      return input;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  run_one(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}

#ifdef MYTHOS_LIBFUZZER
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 2 == 0) return size;
  const std::string out = sealed(std::string(reinterpret_cast<const char*>(data), size));
  std::memcpy(data, out.data(), out.size());
  return out.size();
}
#else
namespace {

uint64_t interesting(Rng& rng, size_t size) {
  const uint64_t values[] = {0,
                             1,
                             2,
                             7,
                             255,
                             65536,
                             size,
                             size - 1,
                             uint64_t{1} << 31,
                             uint64_t{1} << 32,
                             (uint64_t{1} << 61) + 1,
                             uint64_t{1} << 63,
                             ~uint64_t{0},
                             ~uint64_t{0} / 24 + 1,
                             ~uint64_t{0} / 8 + 1,
                             rng.next()};
  return values[rng.below(std::size(values))];
}

void mutate_once(std::string& input, Rng& rng) {
  if (input.empty()) input = "x";
  // Half of the changes fall where the numbers are: at both ends.
  size_t at = rng.below(input.size());
  if (rng.below(2))
    at = rng.below(2) ? at % 64 % input.size() : input.size() - 1 - at % 128 % input.size();
  const size_t length = 1 + rng.below(16);
  switch (rng.below(7)) {
    case 0:
      input[at] = static_cast<char>(rng.next());
      break;
    case 1:
      input[at] = static_cast<char>(input[at] ^ (1 << rng.below(8)));
      break;
    case 2: {
      const uint64_t value = interesting(rng, input.size());
      const size_t aligned = at & ~size_t{7};
      const size_t width = std::min<size_t>(rng.below(2) ? 8 : 4, input.size() - aligned);
      std::memcpy(input.data() + aligned, &value, width);
      break;
    }
    case 3:
      input.erase(at, length);
      break;
    case 4:
      input.insert(at, input.substr(rng.below(input.size()), length));
      break;
    case 5:
      input.resize(at);
      break;
    default: {
      uint64_t value = 0;
      const size_t aligned = at & ~size_t{7}, width = std::min<size_t>(8, input.size() - aligned);
      std::memcpy(&value, input.data() + aligned, width);
      value += rng.below(2) ? 1 : ~uint64_t{0};
      std::memcpy(input.data() + aligned, &value, width);
    }
  }
}

std::string mutated(const std::string& input, uint64_t seed, uint64_t number) {
  Rng rng(seed, number);
  std::string out = input;
  for (uint64_t left = 1 + rng.below(4); left > 0; --left) mutate_once(out, rng);
  return rng.below(2) ? sealed(out) : out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: shard_fuzz CORPUS [MUTATIONS [SEED]]\n");
    return 2;
  }
  const uint64_t mutations = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
  const uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(argv[1])) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> corpus;
  for (const fs::path& path : paths) corpus.push_back(read_file(path));
  if (corpus.empty()) {
    std::fprintf(stderr, "%s holds no files\n", argv[1]);
    return 2;
  }
  std::printf("the input that is being read lies in %s\n", (workplace() / "").c_str());
  std::fflush(stdout);
  for (const std::string& input : corpus) run_one(input);
  for (uint64_t i = 0; i < mutations; ++i) run_one(mutated(corpus[i % corpus.size()], seed, i));
  std::printf("%zu files and %llu mutations read or refused\n", corpus.size(),
              static_cast<unsigned long long>(mutations));
  return 0;
}
#endif
