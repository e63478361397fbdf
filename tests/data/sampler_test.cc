#include "data/sample/sampler.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "data/sample/latent_targets.h"
#include "numbered_shards.h"

namespace mythos {
namespace {

using Split = ShardDirectory::Split;
using test::NumberedShards;

// A stream 0, 1, 2, … of documents of 50 tokens.
class Counting : public NumberedShards {
 public:
  explicit Counting(uint64_t tokens, uint32_t first = 0)
      : NumberedShards(test::fifties(tokens), first) {}
  operator std::vector<DataSource>() const { return {{&shards(), 1}}; }
};

Sampler::Options options(int64_t batch_size, int64_t seq_len, int64_t rank = 0, int64_t world = 1,
                         uint64_t seed = 1) {
  Sampler::Options options;
  options.batch_size = batch_size;
  options.seq_len = seq_len;
  options.seed = seed;
  options.rank = rank;
  options.world = world;
  return options;
}

// How often each token was a target; checks that each is the token after its input.
std::map<int64_t, int> count_targets(const Batch& batch, std::map<int64_t, int> counts = {}) {
  EXPECT_EQ(batch.inputs.size(), static_cast<size_t>(batch.batch_size * batch.seq_len));
  EXPECT_EQ(batch.targets.size(), batch.inputs.size());
  for (size_t i = 0; i < batch.targets.size(); ++i) {
    if (batch.targets[i] < 0) continue;
    EXPECT_EQ(batch.targets[i], batch.inputs[i] + 1);
    ++counts[batch.targets[i]];
  }
  return counts;
}

void expect_each_once(const std::map<int64_t, int>& counts, int64_t tokens) {
  EXPECT_EQ(counts.size(), static_cast<size_t>(tokens - 1));
  for (const auto& [token, count] : counts) EXPECT_EQ(count, 1) << token;
}

int64_t windows(int64_t tokens, int64_t seq_len) {
  return (tokens - 1 + seq_len - 1) / seq_len;
}

TEST(Sampler, UsesEveryTargetOncePerEpoch) {
  for (const int64_t tokens : {2, 3, 17, 64, 65, 1000, 1001}) {
    const Counting data(static_cast<uint64_t>(tokens));
    for (const int64_t seq_len : {1, 2, 7, 16, 64, 999}) {
      if (seq_len >= tokens) continue;
      Sampler sampler(data, Split::train, options(1, seq_len));
      for (int epoch = 0; epoch < 3; ++epoch) {
        EXPECT_DOUBLE_EQ(sampler.epoch(), epoch);
        std::map<int64_t, int> counts;
        for (int64_t i = 0; i < windows(tokens, seq_len); ++i)
          counts = count_targets(sampler.next(), counts);
        expect_each_once(counts, tokens);
      }
    }
  }
}

std::vector<int64_t> order_of(Sampler& sampler, int batches) {
  std::vector<int64_t> order;
  for (int i = 0; i < batches; ++i) {
    const Batch batch = sampler.next();
    for (int64_t row = 0; row < batch.batch_size; ++row) {
      order.push_back(batch.inputs[static_cast<size_t>(row * batch.seq_len)]);
    }
  }
  return order;
}

TEST(Sampler, ShufflesByseedAndEpoch) {
  const Counting data(2001);
  const auto epochs = [&](uint64_t seed) {
    Sampler sampler(data, Split::train, options(1, 4, 0, 1, seed));
    std::vector<std::vector<int64_t>> orders;
    for (int epoch = 0; epoch < 2; ++epoch) orders.push_back(order_of(sampler, 500));
    return orders;
  };
  const auto one = epochs(1), again = epochs(1), two = epochs(2);
  EXPECT_EQ(one, again);
  EXPECT_NE(one[0], one[1]);
  EXPECT_NE(one[0], two[0]);
  int ascending = 0;
  double first_half = 0;
  for (size_t i = 0; i + 1 < one[0].size(); ++i) ascending += one[0][i] < one[0][i + 1];
  for (size_t i = 0; i < 250; ++i) first_half += static_cast<double>(one[0][i]) / 250;
  EXPECT_NEAR(ascending, 250, 50);
  EXPECT_NEAR(first_half, 1000, 120);
}

TEST(Sampler, RanksTakeTurnsWithoutOverlap) {
  const Counting data(3001);
  Sampler all(data, Split::train, options(6, 8));
  std::vector<Sampler> ranks;
  for (int64_t rank = 0; rank < 3; ++rank) {
    ranks.emplace_back(data, Split::train, options(2, 8, rank, 3));
  }
  for (int step = 0; step < 80; ++step) {
    const auto whole = order_of(all, 1);
    std::vector<int64_t> dealt(6);
    for (size_t rank = 0; rank < 3; ++rank) {
      const auto part = order_of(ranks[rank], 1);
      for (size_t i = 0; i < 2; ++i) dealt[3 * i + rank] = part[i];
    }
    EXPECT_EQ(dealt, whole);
  }
  EXPECT_EQ(ranks[0].cursor(), all.cursor());
}

TEST(Sampler, ResumesExactlyAlsoWithAnotherWorldSize) {
  const Counting data(1000);
  Sampler first(data, Split::train, options(3, 5));
  order_of(first, 150);
  const nlohmann::json cursor = nlohmann::json::parse(first.cursor().dump());
  Sampler resumed(data, Split::train, options(3, 5));
  resumed.restore(cursor);
  Sampler narrower(data, Split::train, options(1, 5));
  narrower.restore(cursor);
  const auto expected = order_of(first, 100);
  EXPECT_EQ(order_of(resumed, 100), expected);
  EXPECT_EQ(order_of(narrower, 300), expected);
  EXPECT_DOUBLE_EQ(resumed.epoch(), 750.0 / 200.0);
}

TEST(Sampler, RefusesACursorOfAnotherRun) {
  const Counting data(1000), longer(1001), other(1000, 1);
  const nlohmann::json cursor = Sampler(data, Split::train, options(2, 5)).cursor();
  const auto error = [&](const Counting& with, const Sampler::Options& how,
                         const nlohmann::json& saved, ErrorKind kind = ErrorKind::data) {
    Sampler sampler(with, Split::train, how);
    return error_of(kind, [&] { sampler.restore(saved); });
  };
  const auto asked = ErrorKind::usage;
  EXPECT_TRUE(
      contains(error(data, options(2, 5, 0, 1, 9), cursor, asked), "'seed' was 1 and is 9"));
  EXPECT_TRUE(contains(error(data, options(2, 6), cursor, asked), "'seq_len' was 5 and is 6"));
  EXPECT_TRUE(contains(error(longer, options(2, 5), cursor), "'tokens'") ||
              contains(error(longer, options(2, 5), cursor), "'data'"));
  EXPECT_TRUE(contains(error(other, options(2, 5), cursor), "'data'"));
  error(data, options(2, 5), nlohmann::json::object());
  error(data, options(2, 5), nlohmann::json());
  error(data, options(2, 5), {{"windows", -1}});
  const auto changed = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json saved = cursor;
    saved["sources"][0][key] = value;
    return error(data, options(2, 5), saved);
  };
  EXPECT_TRUE(contains(changed("index", 200), "no such place"));
  EXPECT_TRUE(contains(changed("group", 1), "no such place"));
  EXPECT_TRUE(contains(changed("epoch", "x"), "'epoch'"));
  EXPECT_TRUE(contains(changed("sequences", 7), "contradict"));
}

// What checkpoints held before there were several sources.
TEST(Sampler, RestoresAnOldCursor) {
  const Counting data(1000);
  Sampler first(data, Split::train, options(3, 5));
  order_of(first, 150);
  const nlohmann::json now = first.cursor(), source = now["sources"][0];
  nlohmann::json old = {
      {"windows", 450}, {"seed", 1}, {"seq_len", 5}, {"tokens", 1000}, {"data", source["data"]}};
  Sampler resumed(data, Split::train, options(3, 5));
  resumed.restore(nlohmann::json::parse(old.dump()));
  EXPECT_EQ(resumed.cursor(), now);
  EXPECT_EQ(order_of(resumed, 100), order_of(first, 100));
  old["seed"] = 2;
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { resumed.restore(old); }), "'seed'"));
  old["seed"] = 1;
  Sampler::Options packed = options(3, 5);
  packed.packing = Packing::best_fit;
  Sampler other(data, Split::train, packed);
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { other.restore(old); }),
                       R"('packing' was "contiguous" and is "best-fit")"));
}

TEST(Sampler, TellsWhenThereAreTooFewTokens) {
  const Counting data(10);
  const std::string message =
      error_of(ErrorKind::data, [&] { Sampler(data, Split::train, options(1, 10)); });
  EXPECT_TRUE(contains(message, "10 tokens; sequences of 10 need at least 11")) << message;
  Sampler(data, Split::train, options(1, 9));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { Sampler(data, Split::val, options(1, 9)); }),
                       "val split has 0 tokens"));
}

TEST(SequentialBatch, CoversEveryTargetOnceInOrder) {
  for (const int64_t tokens : {2, 5, 64, 65, 66, 1000}) {
    const Counting data(static_cast<uint64_t>(tokens));
    for (const int64_t seq_len : {1, 4, 64, 2000}) {
      std::map<int64_t, int> counts;
      uint64_t window = 0;
      while (true) {
        const Batch batch = sequential_batch(data.shards(), Split::train, window, 3, seq_len);
        if (batch.batch_size == 0) break;
        EXPECT_EQ(batch.inputs[0], static_cast<int64_t>(window) * seq_len);
        counts = count_targets(batch, counts);
        window += static_cast<uint64_t>(batch.batch_size);
      }
      EXPECT_EQ(static_cast<int64_t>(window), windows(tokens, seq_len));
      expect_each_once(counts, tokens);
    }
  }
  const Counting data(2);
  EXPECT_EQ(sequential_batch(data.shards(), Split::val, 0, 3, 4).batch_size, 0);
}

// Windows that overlap give each target once, behind what the window before has.
TEST(SequentialBatch, OverlappingWindowsGiveEveryTargetOnce) {
  for (const int64_t tokens : {2, 9, 10, 64, 65}) {
    const Counting data(static_cast<uint64_t>(tokens));
    for (const int64_t stride : {1, 3, 8}) {
      std::map<int64_t, int> counts;
      int64_t window = 0;
      while (true) {
        const Batch batch = sequential_batch(data.shards(), Split::train,
                                             static_cast<uint64_t>(window), 3, 8, stride);
        if (batch.batch_size == 0) break;
        for (int64_t row = 0; row < batch.batch_size; ++row) {
          const auto* targets = &batch.targets[static_cast<size_t>(row * 8)];
          const int64_t first = (window + row) * stride, known = first > 0 ? 8 - stride : 0;
          EXPECT_EQ(batch.inputs[static_cast<size_t>(row * 8)], first);
          EXPECT_EQ(targets[known], first + known + 1);  // there is at least one
          if (known > 0) {
            EXPECT_EQ(targets[known - 1], -1);
          }
        }
        counts = count_targets(batch, counts);
        window += batch.batch_size;
      }
      expect_each_once(counts, tokens);
    }
  }
}

Batch two_rows(std::vector<int64_t> inputs, std::vector<int64_t> targets) {
  Batch batch;
  batch.inputs = std::move(inputs);
  batch.targets = std::move(targets);
  batch.batch_size = 2;
  batch.seq_len = 4;
  return batch;
}

TEST(LatentTargets, NothingPredictsALatentThought) {
  const Batch given = two_rows({9, 9, 5, 6, 1, 9, 9, 2}, {9, 5, 6, 7, 9, 9, 2, -1});
  Batch batch = given;
  drop_latent_targets(batch, -1);
  EXPECT_EQ(batch.targets, given.targets);
  drop_latent_targets(batch, 9);
  EXPECT_EQ(batch.inputs, given.inputs);
  EXPECT_EQ(batch.targets, (std::vector<int64_t>{-1, 5, 6, 7, -1, -1, 2, -1}));
}

TEST(LatentTargets, ACutWindowDoesNotBeginWithOne) {
  Batch batch = two_rows({9, 9, 5, 6, 9, 9, 9, 9}, {9, 5, 6, 9, 9, 9, 9, 2});
  drop_cut_latents(batch, 9);
  EXPECT_EQ(batch.inputs, (std::vector<int64_t>{5, 5, 5, 6, 0, 0, 0, 0}));
  EXPECT_EQ(batch.targets, (std::vector<int64_t>{-1, -1, 6, -1, -1, -1, -1, -1}));
}

}  // namespace
}  // namespace mythos
