#include "data/sample/document_windows.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "numbered_shards.h"

namespace mythos {
namespace {

using test::NumberedShards;

constexpr auto kTrain = ShardDirectory::Split::train;

// Where the document of each token begins.
std::vector<uint64_t> document_begins(const NumberedShards& data) {
  std::vector<uint64_t> begins;
  for (const uint64_t length : data.lengths()) begins.insert(begins.end(), length, begins.size());
  return begins;
}

// Tells for each target how many tokens before it are seen, -1 where it is no target. Checks each
// row: inputs follow one another within a document, and document_begins says where they start.
std::vector<int64_t> seen_before(const NumberedShards& data,
                                 const DocumentWindows::Options& options, int64_t batch_size) {
  const std::vector<uint64_t> begins = document_begins(data);
  std::vector<int64_t> seen(data.tokens(), -1);
  DocumentWindows windows(data.shards(), kTrain, options);
  for (;;) {
    const Batch batch = windows.next(batch_size);
    EXPECT_LE(batch.batch_size, batch_size);
    if (batch.batch_size == 0) return seen;
    EXPECT_EQ(batch.inputs.size(), static_cast<size_t>(batch.batch_size * options.seq_len));
    EXPECT_EQ(batch.targets.size(), batch.inputs.size());
    EXPECT_EQ(batch.document_begins.size(), batch.inputs.size());
    for (size_t i = 0; i < batch.inputs.size(); ++i) {
      const auto place = static_cast<int64_t>(i) % options.seq_len;
      const int64_t within = place - batch.document_begins[i], target = batch.targets[i];
      EXPECT_GE(within, 0);
      if (within > 0) {
        EXPECT_EQ(batch.inputs[i], batch.inputs[i - 1] + 1);
      }
      if (target < 0) continue;
      EXPECT_EQ(target, batch.inputs[i] + 1);
      const auto token = static_cast<uint64_t>(target);
      EXPECT_EQ(begins[token], begins[token - 1]) << "a document's first token is a target";
      EXPECT_EQ(seen[token], -1) << token << " is a target twice";
      seen[token] = within + 1;
    }
  }
}

// Lengths around that of a sequence, short ones, and one of a single token.
std::vector<uint64_t> lengths(uint64_t seq_len, uint64_t seed) {
  Rng rng(seed);
  std::vector<uint64_t> all = {1, seq_len, seq_len + 1, seq_len + 2, 2 * seq_len + 1, 1, 1, 3};
  while (all.size() < 60) all.push_back(1 + rng.below(rng.below(3) == 0 ? 4 * seq_len : seq_len));
  all.push_back(1);
  return all;
}

TEST(DocumentWindows, EveryTokenOfADocumentButItsFirstIsATargetOnce) {
  for (const int64_t seq_len : {4, 7, 32}) {
    const NumberedShards data(lengths(static_cast<uint64_t>(seq_len), 3), /*first=*/0);
    const std::vector<uint64_t> begins = document_begins(data);
    for (const bool masked : {true, false}) {
      for (const int64_t stride : {int64_t{0}, int64_t{1}, int64_t{3}, seq_len}) {
        for (const uint64_t tokens : {data.tokens(), uint64_t{50}, uint64_t{1}, uint64_t{0}}) {
          const std::vector<int64_t> seen =
              seen_before(data, {tokens, seq_len, stride, masked}, /*batch_size=*/3);
          for (uint64_t token = 0; token < data.tokens(); ++token) {
            const auto within = static_cast<int64_t>(token - begins[token]);
            ASSERT_EQ(seen[token] > 0, within > 0 && token < tokens) << token;
            // Overlapping windows leave it so many of the tokens before.
            const int64_t least = seq_len - (stride > 0 ? stride : seq_len) + 1;
            if (seen[token] > 0) {
              ASSERT_GE(seen[token], std::min(within, least)) << token;
            }
          }
        }
      }
    }
  }
}

TEST(DocumentWindows, DocumentsThatFitStayWholeAndInOrder) {
  const NumberedShards data({3, 4, 9, 2, 2, 6}, 0);
  const auto rows = [&](bool masked) {
    DocumentWindows windows(data.shards(), kTrain, {data.tokens(), 6, 0, masked});
    return windows.next(10);
  };
  const Batch apart = rows(true);
  EXPECT_EQ(apart.batch_size, 4);
  EXPECT_EQ(apart.inputs, (std::vector<int64_t>{0,  1,  3,  4,  5,  0,   //
                                                7,  8,  9,  10, 11, 12,  //
                                                13, 14, 16, 18, 0,  0,   //
                                                20, 21, 22, 23, 24, 0}));
  EXPECT_EQ(apart.targets, (std::vector<int64_t>{1,  2,  4,  5,  6,  -1,  //
                                                 8,  9,  10, 11, 12, 13,  //
                                                 14, 15, 17, 19, -1, -1,  //
                                                 21, 22, 23, 24, 25, -1}));
  EXPECT_EQ(apart.document_begins, (std::vector<int32_t>{0, 0, 2, 2, 2, 5,  //
                                                         0, 0, 0, 0, 0, 0,  //
                                                         0, 0, 2, 3, 4, 5,  //
                                                         0, 0, 0, 0, 0, 5}));
  // Without a mask the last token stands between two documents.
  const Batch together = rows(false);
  EXPECT_EQ(together.inputs, (std::vector<int64_t>{0,  1,  2,  3,  4,  5,   //
                                                   7,  8,  9,  10, 11, 12,  //
                                                   13, 14, 15, 16, 17, 18,  //
                                                   20, 21, 22, 23, 24, 25}));
  EXPECT_EQ(together.targets, (std::vector<int64_t>{1,  2,  -1, 4,  5,  6,   //
                                                    8,  9,  10, 11, 12, 13,  //
                                                    14, 15, -1, 17, -1, 19,  //
                                                    21, 22, 23, 24, 25, -1}));
}

TEST(DocumentWindows, WithoutTargetsThereIsNothing) {
  const NumberedShards data({1, 1, 1}, 0);
  DocumentWindows windows(data.shards(), kTrain, {data.tokens(), 4, 0, true});
  EXPECT_EQ(windows.next(2).batch_size, 0);
  EXPECT_EQ(windows.next(2).batch_size, 0);
}

}  // namespace
}  // namespace mythos
