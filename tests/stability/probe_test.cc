#include "stability/probe.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "../device.h"

namespace mythos {
namespace {

ModelConfig config_of(int64_t max_seq_len) {
  ModelConfig config;
  config.vocab_size = 50;
  config.max_seq_len = max_seq_len;
  return config;
}

using Probe = DeviceTest;

TEST_P(Probe, RandomIdsFollowTheSeedAndStayInTheVocabulary) {
  const auto first = random_probe(config_of(100), 500, 1, device_);
  const auto again = random_probe(config_of(100), 500, 1, device_);
  const auto other = random_probe(config_of(100), 500, 2, device_);
  EXPECT_EQ(first[0].device(), device_);
  EXPECT_TRUE(at::equal(first[0], again[0]));
  EXPECT_FALSE(at::equal(first[0], other[0]));
  EXPECT_GE(first[0].min().item<int64_t>(), 0);
  EXPECT_EQ(first[0].max().item<int64_t>(), 49);
}

TEST_P(Probe, BatchesHoldEveryTokenOnceAndRespectTheContext) {
  for (const int64_t tokens : {1, 99, 100, 101, 450, 1000}) {
    int64_t total = 0;
    for (const Tensor& batch : random_probe(config_of(100), tokens, 1, device_)) {
      ASSERT_EQ(batch.dim(), 2);
      EXPECT_LE(batch.size(1), 100);
      total += batch.numel();
    }
    EXPECT_EQ(total, tokens);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Probe, testing::ValuesIn(test_devices()), device_name);

}  // namespace
}  // namespace mythos
