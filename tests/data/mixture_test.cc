#include "data/sample/mixture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "data/sample/sampler.h"
#include "numbered_shards.h"

namespace mythos {
namespace {

using Split = ShardDirectory::Split;
using test::fifties;
using test::NumberedShards;

TEST(Mixture, NeverStraysFromItsSharesByOneTurn) {
  Rng rng(1);
  for (int trial = 0; trial < 60; ++trial) {
    std::vector<double> shares(1 + rng.below(12));
    double sum = 0;
    for (double& share : shares)
      sum += share = trial % 2 ? 0.01 + rng.uniform() : std::exp(6 * rng.uniform());
    for (double& share : shares) share /= sum;
    Mixture mixture(shares);
    for (int turn = 1; turn <= 3000; ++turn) {
      mixture.take(mixture.next());
      for (size_t i = 0; i < shares.size(); ++i) {
        ASSERT_LT(std::abs(shares[i] * turn - static_cast<double>(mixture.taken()[i])), 1 + 1e-9)
            << "source " << i << " of " << shares.size() << " at turn " << turn;
      }
    }
  }
}

// Three sources whose tokens tell them apart.
class Sources : public testing::Test {
 protected:
  std::vector<DataSource> list(double a = 0.5, double b = 0.3, double c = 0.2) const {
    return {{&large_.shards(), a}, {&small_.shards(), b}, {&middle_.shards(), c}};
  }
  static Sampler::Options options(Packing packing, int64_t batch_size, int64_t rank = 0,
                                  int64_t world = 1) {
    Sampler::Options options;
    options.batch_size = batch_size;
    options.seq_len = 16;
    options.seed = 5;
    options.packing = packing;
    options.rank = rank;
    options.world = world;
    options.document_begins = packing == Packing::best_fit;
    return options;
  }
  Sampler sampler(Packing packing, int64_t batch_size, int64_t rank = 0, int64_t world = 1) const {
    return Sampler(list(), Split::train, options(packing, batch_size, rank, world));
  }
  static int source_of(int64_t token) { return token < 100'000 ? 0 : token < 200'000 ? 1 : 2; }

  NumberedShards large_{fifties(20'000)}, small_{fifties(500), 100'000},
      middle_{fifties(3000), 200'000};
};

// The rows of some batches, one after the other.
std::vector<std::vector<int64_t>> rows_of(Sampler& sampler, int batches) {
  std::vector<std::vector<int64_t>> rows;
  for (int i = 0; i < batches; ++i) {
    const Batch batch = sampler.next();
    for (int64_t row = 0; row < batch.batch_size; ++row) {
      const auto begin = batch.inputs.begin() + row * batch.seq_len;
      rows.emplace_back(begin, begin + batch.seq_len);
    }
  }
  return rows;
}

TEST_F(Sources, TakeTurnsByWeightEachThroughItsOwnEpochs) {
  for (const Packing packing : {Packing::contiguous, Packing::best_fit}) {
    Sampler mixed = sampler(packing, 10);
    std::vector<int> sequences(3);
    std::map<int64_t, int> seen;  // times that each token of the small source was a target
    for (int step = 0; step < 100; ++step) {
      const Batch batch = mixed.next();
      for (int64_t row = 0; row < 10; ++row) ++sequences[source_of(batch.inputs[row * 16])];
      for (size_t i = 0; i < batch.targets.size(); ++i) {
        if (batch.targets[i] < 0) continue;
        EXPECT_EQ(source_of(batch.targets[i]), source_of(batch.inputs[i]));
        if (source_of(batch.targets[i]) == 1) ++seen[batch.targets[i]];
      }
    }
    EXPECT_NEAR(sequences[0], 500, 1);
    EXPECT_NEAR(sequences[1], 300, 1);
    EXPECT_NEAR(sequences[2], 200, 1);
    const auto [least, most] = std::minmax_element(
        seen.begin(), seen.end(), [](auto& x, auto& y) { return x.second < y.second; });
    EXPECT_LE(most->second - least->second, 1) << "each pass ends before the next begins";
    EXPECT_GT(most->second, 7);
    EXPECT_NEAR(mixed.epoch(), 300.0 * 16 / 500, 1) << "of the source that was used up most often";
  }
}

TEST_F(Sources, GoOnWithAnotherNumberOfRanks) {
  for (const Packing packing : {Packing::contiguous, Packing::best_fit}) {
    Sampler alone = sampler(packing, 6);
    const auto expected = rows_of(alone, 40);
    std::vector<std::vector<int64_t>> dealt;
    nlohmann::json cursor;
    for (const int64_t world : {1, 2, 3, 1, 3, 2, 1}) {
      std::vector<Sampler> ranks;
      for (int64_t rank = 0; rank < world; ++rank) {
        ranks.push_back(sampler(packing, 6 / world, rank, world));
        if (!cursor.is_null()) ranks.back().restore(cursor);
      }
      for (int step = 0; step < 5; ++step) {
        std::vector<std::vector<std::vector<int64_t>>> parts;
        for (Sampler& rank : ranks) parts.push_back(rows_of(rank, 1));
        for (int64_t row = 0; row < 6; ++row) {
          dealt.push_back(
              parts[static_cast<size_t>(row % world)][static_cast<size_t>(row / world)]);
        }
      }
      cursor = nlohmann::json::parse(ranks[0].cursor().dump());
      for (const Sampler& rank : ranks) EXPECT_EQ(rank.cursor(), cursor);
    }
    for (size_t i = 0; i < dealt.size(); ++i) EXPECT_EQ(dealt[i], expected[i]) << i;
  }
}

TEST_F(Sources, RefuseTheCursorOfAnotherList) {
  const auto cursor = sampler(Packing::contiguous, 4).cursor();
  const auto error = [&](const std::vector<DataSource>& sources,
                         ErrorKind kind = ErrorKind::usage) {
    Sampler other(sources, Split::train, options(Packing::contiguous, 4));
    return error_of(kind, [&] { other.restore(cursor); });
  };
  EXPECT_TRUE(contains(error(list(0.4, 0.4, 0.2)), "'weight' was 0.5 and is 0.4"));
  EXPECT_TRUE(contains(error({{&large_.shards(), 1}}), "started with 3 sources of data, not 1"));
  const std::string swapped =
      error({{&large_.shards(), 0.5}, {&middle_.shards(), 0.3}, {&small_.shards(), 0.2}},
            ErrorKind::data);
  EXPECT_TRUE(contains(swapped, middle_.shards().path().string() + ": ")) << swapped;
  Sampler same(list(5, 3, 2), Split::train, options(Packing::contiguous, 4));
  same.restore(cursor);
}

TEST_F(Sources, NeedOneTokenizerAndPositiveWeights) {
  const NumberedShards other(fifties(1000), 0, 300'000);
  const std::string message = error_of(ErrorKind::data, [&] {
    Sampler({{&large_.shards(), 1}, {&other.shards(), 1}}, Split::train,
            options(Packing::contiguous, 1));
  });
  EXPECT_TRUE(
      contains(message, "mixed tokenizers in one --data list: " + large_.shards().path().string()));
  for (const ShardDirectory* shards : {&other.shards(), &large_.shards()}) {
    EXPECT_TRUE(contains(message, shards->manifest().tokenizer_fingerprint)) << message;
  }
  for (const double weight : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    error_of(ErrorKind::usage,
             [&] { Sampler(list(1, 1, weight), Split::train, options(Packing::contiguous, 1)); });
  }
}

TEST_F(Sources, ComeThroughThePrefetcherAsTheyAre) {
  for (const size_t depth : {1, 2, 5}) {
    Sampler plain = sampler(Packing::best_fit, 4);
    Prefetcher ahead(sampler(Packing::best_fit, 4), depth);
    EXPECT_EQ(ahead.cursor(), plain.cursor());
    for (int step = 0; step < 50; ++step) {
      const Batch expected = plain.next(), batch = ahead.next();
      EXPECT_EQ(batch.inputs, expected.inputs);
      EXPECT_EQ(batch.targets, expected.targets);
      EXPECT_EQ(batch.document_begins, expected.document_begins);
      EXPECT_EQ(ahead.cursor(), plain.cursor());
      EXPECT_EQ(ahead.epoch(), plain.epoch());
    }
    EXPECT_GE(ahead.waited_seconds(), 0);
    Sampler resumed = sampler(Packing::best_fit, 4);
    resumed.restore(ahead.cursor());
    EXPECT_EQ(resumed.next().inputs, ahead.next().inputs);
  }
}

TEST_F(Sources, ErrorsComeThroughThePrefetcher) {
  const NumberedShards data(fifties(5000));
  {
    std::fstream file(data.shards().path() / data.shards().manifest().train.files[3].name,
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(40);
    file.put('\x55');
    file.put('\x55');
  }
  const ShardDirectory damaged(data.shards().path());
  Sampler::Options in_order = options(Packing::contiguous, 1);
  in_order.shuffle = false;
  Prefetcher ahead(Sampler({{&damaged, 1}}, Split::train, in_order), 3);
  const auto read = [&] {
    for (int i = 0; i < 200; ++i) ahead.next();
  };
  const std::string message = error_of(ErrorKind::data, read);
  EXPECT_TRUE(contains(message, damaged.manifest().train.files[3].name)) << message;
  EXPECT_EQ(ahead.cursor()["sequences"], 900 / 16) << "of the last batch that was given";
  EXPECT_EQ(error_of(ErrorKind::data, read), message) << "again";
}

}  // namespace
}  // namespace mythos
