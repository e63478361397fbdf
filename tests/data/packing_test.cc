#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/rng.h"
#include "data/sample/sequences.h"
#include "numbered_shards.h"

namespace mythos {
namespace {

using Split = ShardDirectory::Split;
using test::NumberedShards;

Sampler make(const NumberedShards& data, int64_t seq_len, Packing packing, bool begins,
             int64_t batch_size = 1, bool shuffle = true) {
  Sampler::Options options;
  options.batch_size = batch_size;
  options.seq_len = seq_len;
  options.packing = packing;
  options.document_begins = begins;
  options.shuffle = shuffle;
  return Sampler({{&data.shards(), 1}}, Split::train, options);
}

// Lengths around the sequence length, and short ones.
std::vector<uint64_t> random_lengths(uint64_t seq_len, size_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<uint64_t> lengths = {1, seq_len,         seq_len + 1, seq_len + 2,
                                   1, 2 * seq_len + 1, 2,           5 * seq_len};
  while (lengths.size() < count) {
    lengths.push_back(1 + rng.below(rng.below(4) == 0 ? 3 * seq_len + 2 : seq_len / 2 + 2));
  }
  return lengths;
}

// Where each document begins, and where the last ends.
std::vector<uint64_t> begins_of(const NumberedShards& data) {
  std::vector<uint64_t> begins = {0};
  for (const uint64_t length : data.lengths()) begins.push_back(begins.back() + length);
  return begins;
}

// Counts targets, which are unique, and compares each with its input.
void count(const Batch& batch, std::vector<int>& counts) {
  for (size_t i = 0; i < batch.targets.size(); ++i) {
    if (batch.targets[i] < 0) continue;
    EXPECT_EQ(batch.targets[i], batch.inputs[i] + 1);
    ++counts.at(static_cast<size_t>(batch.targets[i]));
  }
}

// Every token but the first of a document is a target once.
void expect_documents_once(const NumberedShards& data, const std::vector<int>& counts) {
  const auto begins = begins_of(data);
  const std::set<uint64_t> first(begins.begin(), begins.end());
  for (size_t token = 0; token < counts.size(); ++token) {
    EXPECT_EQ(counts[token], first.contains(token) ? 0 : 1) << token;
  }
}

// One pass.
std::vector<int> epoch_of(Sampler& sampler, const NumberedShards& data) {
  std::vector<int> counts(data.tokens());
  for (const double end = sampler.epoch() + 1; sampler.epoch() < end - 1e-9;) {
    count(sampler.next(), counts);
  }
  return counts;
}

TEST(BestFit, PutsEachPieceInOneSequenceWithinItsCapacity) {
  EXPECT_EQ(best_fit({}, 8), (std::vector<std::vector<uint32_t>>{}));
  // 5 leaves 3, which 3 fills although 4+4 came first; 1 goes where the least room is left.
  EXPECT_EQ(best_fit({3, 8, 4, 5, 1, 4}, 8),
            (std::vector<std::vector<uint32_t>>{{1}, {3, 0}, {2, 5}, {4}}));
  EXPECT_EQ(best_fit({6, 5, 2, 1}, 8), (std::vector<std::vector<uint32_t>>{{0, 2}, {1, 3}}));
  Rng rng(1);
  std::vector<uint32_t> sizes(2000);
  uint64_t sum = 0;
  for (uint32_t& size : sizes) sum += size = static_cast<uint32_t>(1 + rng.below(100));
  std::vector<int> used(sizes.size());
  const auto sequences = best_fit(sizes, 100);
  for (const auto& sequence : sequences) {
    uint32_t total = 0;
    for (const uint32_t piece : sequence) total += sizes[piece], ++used[piece];
    EXPECT_LE(total, 100u);
  }
  EXPECT_EQ(std::count(used.begin(), used.end(), 1), 2000);
  EXPECT_LT(static_cast<double>(sequences.size()), 1.02 * static_cast<double>(sum) / 100 + 1);
}

TEST(BestFit, UsesEveryTargetOncePerEpoch) {
  for (const int64_t seq_len : {1, 2, 7, 64, 1000}) {
    const NumberedShards data(random_lengths(static_cast<uint64_t>(seq_len), 120, 3));
    for (const bool begins : {false, true}) {
      for (const bool shuffle : {false, true}) {
        Sampler sampler = make(data, seq_len, Packing::best_fit, begins, 1, shuffle);
        for (int epoch = 0; epoch < 2; ++epoch) {
          EXPECT_DOUBLE_EQ(sampler.epoch(), epoch);
          expect_documents_once(data, epoch_of(sampler, data));
        }
      }
    }
  }
}

// A document is cut only when it is longer than a sequence, and begins are those of its tokens.
TEST(BestFit, KeepsDocumentsWhole) {
  constexpr int64_t kLength = 32;
  const NumberedShards data(random_lengths(kLength, 200, 5));
  const auto begins = begins_of(data);
  Sampler sampler = make(data, kLength, Packing::best_fit, true, 4);
  for (int step = 0; step < 100; ++step) {
    const Batch batch = sampler.next();
    ASSERT_EQ(batch.document_begins.size(), batch.inputs.size());
    for (size_t i = 0; i < batch.inputs.size(); ++i) {
      const auto place = static_cast<int64_t>(i) % kLength;
      const int64_t begin = batch.document_begins[i];
      ASSERT_LE(begin, place);
      if (batch.targets[i] < 0) {
        EXPECT_EQ(begin, place) << "padding sees itself alone";
        continue;
      }
      const int64_t first = batch.inputs[i - static_cast<size_t>(place - begin)];
      EXPECT_EQ(batch.inputs[i] - first, place - begin);
      const auto next =
          std::upper_bound(begins.begin(), begins.end(), static_cast<uint64_t>(batch.inputs[i]));
      const uint64_t length = *next - *(next - 1);
      EXPECT_EQ((static_cast<uint64_t>(first) - *(next - 1)) % kLength, 0u);
      if (length <= kLength + 1) {
        EXPECT_EQ(static_cast<uint64_t>(first), *(next - 1));
      }
    }
  }
}

TEST(BestFit, ShufflesBySeedAndEpochAndComesBack) {
  const NumberedShards data(random_lengths(16, 300, 7));
  Sampler sampler = make(data, 16, Packing::best_fit, true);
  const auto start = sampler.cursor();
  const auto epoch = [&] {
    std::vector<int64_t> firsts;
    for (const double end = sampler.epoch() + 1; sampler.epoch() < end - 1e-9;) {
      firsts.push_back(sampler.next().inputs[0]);
    }
    return firsts;
  };
  const auto first = epoch(), second = epoch();
  EXPECT_NE(first, second);
  sampler.next();  // of the third pass
  sampler.restore(start);
  EXPECT_EQ(epoch(), first);
  sampler = make(data, 16, Packing::best_fit, true, 1, /*shuffle=*/false);
  const auto in_order = epoch();
  EXPECT_NE(in_order, first);
  EXPECT_EQ(epoch(), in_order);
}

TEST(BestFit, PartsDocumentsByTheirLastTokenWithoutMask) {
  const NumberedShards data({5, 6, 5});  // 16 tokens: one sequence of 15 inputs
  Sampler sampler = make(data, 15, Packing::best_fit, false);
  const Batch batch = sampler.next();
  EXPECT_TRUE(batch.document_begins.empty());
  EXPECT_DOUBLE_EQ(sampler.epoch(), 1);
  EXPECT_EQ(std::count(batch.targets.begin(), batch.targets.end(), -1), 2);
  for (size_t i = 0; i < 15; ++i) {
    const int64_t token = batch.inputs[i];
    const bool last = token == 4 || token == 10 || token == 15;
    EXPECT_EQ(batch.targets[i], last ? -1 : token + 1);
  }
}

// More than one group: 2.3 million tokens.
class ManyGroups : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    Rng rng(11);
    std::vector<uint64_t> lengths = {400'000};  // some blocks hold nothing but this document
    for (uint64_t sum = 0; sum < 1'900'000; sum += lengths.back()) {
      lengths.push_back(static_cast<uint64_t>(2 + std::exp(3 + 5 * rng.uniform())));
    }
    data_ = std::make_unique<NumberedShards>(lengths);
  }
  static void TearDownTestSuite() { data_.reset(); }
  static std::unique_ptr<NumberedShards> data_;
};
std::unique_ptr<NumberedShards> ManyGroups::data_;

TEST_F(ManyGroups, UseEveryTargetOnceInAnotherOrderEachEpoch) {
  Sampler sampler = make(*data_, 256, Packing::best_fit, true);
  std::vector<std::vector<int64_t>> firsts(2);
  for (auto& first : firsts) {
    std::vector<int> counts(data_->tokens());
    uint64_t targets = 0, sequences = 0;
    for (const double end = sampler.epoch() + 1; sampler.epoch() < end - 1e-9; ++sequences) {
      const Batch batch = sampler.next();
      count(batch, counts);
      first.push_back(batch.inputs[0]);
      targets += 256 - std::count(batch.targets.begin(), batch.targets.end(), -1);
    }
    expect_documents_once(*data_, counts);
    EXPECT_GT(static_cast<double>(targets), 0.98 * 256 * static_cast<double>(sequences));
  }
  EXPECT_NE(firsts[0], firsts[1]);
  // The first sequences come from everywhere.
  double mean = 0;
  int ascending = 0;
  for (size_t i = 0; i < 1000; ++i) {
    mean += static_cast<double>(firsts[0][i]) / 1000 / static_cast<double>(data_->tokens());
    ascending += firsts[0][i] < firsts[0][i + 1];
  }
  EXPECT_NEAR(mean, 0.5, 0.15);
  EXPECT_NEAR(ascending, 500, 60);
}

TEST_F(ManyGroups, AreResumedAnywhere) {
  for (const bool begins : {false, true}) {
    Sampler all = make(*data_, 2000, Packing::best_fit, begins);
    std::vector<nlohmann::json> cursors;
    std::vector<Batch> batches;
    std::vector<size_t> chosen;
    for (size_t i = 0; all.epoch() < 1.2; ++i) {
      cursors.push_back(nlohmann::json::parse(all.cursor().dump()));
      batches.push_back(all.next());
      const auto group = [&](size_t at) { return cursors[at]["sources"][0]["group"]; };
      if (i > 1 && group(i) != group(i - 1)) chosen.insert(chosen.end(), {i - 2, i - 1, i});
      if (i % 300 == 0) chosen.push_back(i);
    }
    EXPECT_GE(chosen.size(), 12u) << "the ends of three groups and more";
    for (const size_t at : chosen) {
      Sampler resumed = make(*data_, 2000, Packing::best_fit, begins);
      resumed.restore(cursors[at]);
      EXPECT_EQ(resumed.cursor(), cursors[at]);
      for (size_t i = at; i < std::min(at + 3, batches.size()); ++i) {
        const Batch batch = resumed.next();
        EXPECT_EQ(batch.inputs, batches[i].inputs) << at;
        EXPECT_EQ(batch.targets, batches[i].targets) << at;
        EXPECT_EQ(batch.document_begins, batches[i].document_begins) << at;
      }
    }
    nlohmann::json outside = cursors[0];
    outside["sources"][0]["index"] = 1'000'000;
    EXPECT_TRUE(
        contains(error_of(ErrorKind::data, [&] { all.restore(outside); }), "no such place"));
  }
}

TEST(BestFit, RefusesTheCursorOfAnotherPacking) {
  const NumberedShards data(test::fifties(1000));
  const auto cursor = make(data, 16, Packing::best_fit, true).cursor();
  const auto error = [&](Packing packing, bool begins) {
    Sampler sampler = make(data, 16, packing, begins);
    return error_of(ErrorKind::usage, [&] { sampler.restore(cursor); });
  };
  EXPECT_TRUE(contains(error(Packing::contiguous, true), "'packing'"));
  EXPECT_TRUE(contains(error(Packing::best_fit, false),
                       R"('packing' was "best-fit-masked" and is "best-fit")"));
}

TEST(BestFit, NeedsADocumentOfTwoTokens) {
  const NumberedShards ones({1, 1, 1}), two({1, 2, 1});
  const std::string message =
      error_of(ErrorKind::data, [&] { make(ones, 4, Packing::best_fit, true); });
  EXPECT_TRUE(contains(message, "no document of two tokens")) << message;
  Sampler sampler = make(two, 4, Packing::best_fit, true);
  EXPECT_EQ(sampler.next().targets, (std::vector<int64_t>{2, -1, -1, -1}));
}

TEST(Contiguous, TellsWhereDocumentsBegin) {
  const NumberedShards data(random_lengths(20, 100, 9));
  const auto begins = begins_of(data);
  for (const bool shuffle : {false, true}) {
    Sampler sampler = make(data, 20, Packing::contiguous, true, 3, shuffle);
    for (int step = 0; step < 60; ++step) {
      const Batch batch = sampler.next();
      ASSERT_EQ(batch.document_begins.size(), batch.inputs.size());
      for (size_t i = 0; i < batch.inputs.size(); ++i) {
        const auto token = static_cast<uint64_t>(batch.inputs[i]);
        const auto next = std::upper_bound(begins.begin(), begins.end(), token);
        const auto first = static_cast<int64_t>(*(next - 1)) - batch.inputs[i - i % 20];
        EXPECT_EQ(batch.document_begins[i], std::max<int64_t>(0, first));
      }
    }
  }
}

}  // namespace
}  // namespace mythos
