#include "data/sampler.h"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/rng.h"
#include "base/strings.h"

namespace mythos {
namespace {

unsigned long long ull(uint64_t number) {
  return number;
}

// A pseudo-random permutation of 0 … n-1 in O(1) memory: a Feistel network over the next even power
// of two, walked until the value falls inside (Black and Rogaway, "Ciphers with arbitrary finite
// domains", 2002).
uint64_t permuted(uint64_t index, uint64_t n, uint64_t seed, uint64_t epoch) {
  constexpr int kRounds = 6;
  const int half = std::max(1, (static_cast<int>(std::bit_width(n - 1)) + 1) / 2);
  const uint64_t mask = (uint64_t{1} << half) - 1;
  uint64_t keys[kRounds];
  Rng rng(seed, epoch);
  for (uint64_t& key : keys) key = rng.next();
  do {
    uint64_t left = index >> half, right = index & mask;
    for (const uint64_t key : keys) {
      const uint64_t mixed = left ^ (Rng(key, 0, right).next() & mask);
      left = right;
      right = mixed;
    }
    index = left << half | right;
  } while (index >= n);
  return index;
}

uint64_t count_windows(uint64_t tokens, int64_t seq_len) {
  const auto length = static_cast<uint64_t>(seq_len);
  return tokens < 2 ? 0 : (tokens - 1 + length - 1) / length;
}

// Tells apart two data sets of equal size.
std::string data_checksum(const ShardDirectory& data, ShardDirectory::Split split) {
  const ShardManifest& manifest = data.manifest();
  std::string all;
  for (const ShardFileInfo& file :
       (split == ShardDirectory::Split::train ? manifest.train : manifest.val).files) {
    all += file.checksum;
  }
  return checksum(all);
}

// Row `row` of the batch from tokens first … first+count; the first `repeated` targets are masked.
void fill_row(Batch& batch, int64_t row, std::span<const uint32_t> tokens, uint64_t repeated) {
  const auto begin = static_cast<size_t>(row * batch.seq_len);
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    batch.inputs[begin + i] = tokens[i];
    batch.targets[begin + i] = i < repeated ? -1 : static_cast<int64_t>(tokens[i + 1]);
  }
}

Batch make_batch(int64_t batch_size, int64_t seq_len) {
  const auto size = static_cast<size_t>(batch_size * seq_len);
  return {std::vector<int64_t>(size, 0), std::vector<int64_t>(size, -1), batch_size, seq_len};
}

}  // namespace

Sampler::Sampler(const ShardDirectory& data, ShardDirectory::Split split, const Options& options)
    : data_(data), split_(split), options_(options), tokens_(data.tokens(split)) {
  if (options.batch_size < 1 || options.seq_len < 1 || options.world < 1 || options.rank < 0 ||
      options.rank >= options.world) {
    fail(ErrorKind::internal, "Sampler: batch, sequence, rank or world size out of range");
  }
  if (tokens_ <= static_cast<uint64_t>(options.seq_len)) {
    fail(ErrorKind::data,
         strprintf("%s: the %s split has %llu tokens; sequences of %lld need at least %lld.\n"
                   "Use a smaller seq_len, or more text.",
                   data.path().c_str(), split == ShardDirectory::Split::train ? "train" : "val",
                   ull(tokens_), static_cast<long long>(options.seq_len),
                   static_cast<long long>(options.seq_len + 1)));
  }
  windows_per_epoch_ = count_windows(tokens_, options.seq_len);
}

uint64_t Sampler::window_at(uint64_t position) const {
  return permuted(position % windows_per_epoch_, windows_per_epoch_, options_.seed,
                  position / windows_per_epoch_);
}

Batch Sampler::next() {
  const auto length = static_cast<uint64_t>(options_.seq_len);
  Batch batch = make_batch(options_.batch_size, options_.seq_len);
  std::vector<uint32_t> tokens(length + 1);
  for (int64_t row = 0; row < options_.batch_size; ++row) {
    const uint64_t window =
        window_at(position_ + static_cast<uint64_t>(row * options_.world + options_.rank));
    const uint64_t wanted = window * length;
    const uint64_t first = std::min(wanted, tokens_ - length - 1);
    data_.read(split_, first, tokens);
    fill_row(batch, row, tokens, wanted - first);
  }
  position_ += static_cast<uint64_t>(options_.batch_size * options_.world);
  return batch;
}

nlohmann::json Sampler::cursor() const {
  return {{"windows", position_},
          {"seed", options_.seed},
          {"seq_len", options_.seq_len},
          {"tokens", tokens_},
          {"data", data_checksum(data_, split_)}};
}

void Sampler::restore(const nlohmann::json& cursor) {
  const auto refuse = [&](const std::string& what) {
    fail(ErrorKind::data,
         data_.path().string() + ": the saved place in the data does not fit: " + what +
             ".\nResume with the data and settings that the run was started with.");
  };
  nlohmann::json mine = this->cursor();
  if (!cursor.is_object() || !cursor.contains("windows") ||
      !cursor["windows"].is_number_unsigned()) {
    refuse("it has no count of windows");
  }
  mine["windows"] = cursor["windows"];
  for (const auto& [key, value] : mine.items()) {
    const nlohmann::json saved = cursor.value(key, nlohmann::json());
    if (saved != value) refuse("'" + key + "' was " + saved.dump() + " and is " + value.dump());
  }
  position_ = cursor["windows"].get<uint64_t>();
}

double Sampler::epoch() const {
  return static_cast<double>(position_) / static_cast<double>(windows_per_epoch_);
}

Batch sequential_batch(const ShardDirectory& data, ShardDirectory::Split split,
                       uint64_t first_window, int64_t batch_size, int64_t seq_len) {
  const uint64_t tokens = data.tokens(split), windows = count_windows(tokens, seq_len);
  if (first_window >= windows) return {{}, {}, 0, seq_len};
  const auto rows = static_cast<int64_t>(
      std::min<uint64_t>(static_cast<uint64_t>(batch_size), windows - first_window));
  const auto length = static_cast<uint64_t>(seq_len);
  Batch batch = make_batch(rows, seq_len);
  std::vector<uint32_t> buffer;
  for (int64_t row = 0; row < rows; ++row) {
    const uint64_t first = (first_window + static_cast<uint64_t>(row)) * length;
    buffer.resize(std::min(length + 1, tokens - first));
    data.read(split, first, buffer);
    fill_row(batch, row, buffer, 0);
  }
  return batch;
}

}  // namespace mythos
