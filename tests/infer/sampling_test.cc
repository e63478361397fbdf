#include "infer/sampling/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "base/error.h"

namespace mythos {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Logits whose softmax at temperature 1 is exactly this distribution.
std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

void expect_distribution(const std::vector<TokenProbability>& got,
                         const std::vector<TokenProbability>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].id, want[i].id) << "entry " << i;
    EXPECT_NEAR(got[i].probability, want[i].probability, 1e-6) << "entry " << i;
  }
}

SamplingOptions at_temperature(double temperature) {
  SamplingOptions options;
  options.temperature = temperature;
  return options;
}

std::string usage_error(const std::function<void(SamplingOptions&)>& change) {
  SamplingOptions options;
  change(options);
  try {
    options.validate();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "";
}

const std::vector<float> kFive = logits_of({0.1, 0.4, 0.05, 0.25, 0.2});

TEST(Sampling, TemperatureZeroTakesTheLargestLogitAndTheFirstOfSeveral) {
  const std::vector<float> logits = {1, 3, -2, 3};
  EXPECT_EQ(sample_token(logits, at_temperature(0), 0, 0), 1u);
  expect_distribution(next_token_distribution(logits, at_temperature(0)), {{1, 1.0}});
}

TEST(Sampling, TemperatureOneIsTheSoftmax) {
  expect_distribution(next_token_distribution(kFive, at_temperature(1)),
                      {{0, 0.1}, {1, 0.4}, {2, 0.05}, {3, 0.25}, {4, 0.2}});
}

TEST(Sampling, TemperatureDividesTheLogits) {
  // At 1/2 probabilities are squared: 0.01, 0.16, 0.0025, 0.0625, 0.04; sum 0.275.
  expect_distribution(next_token_distribution(kFive, at_temperature(0.5)), {{0, 0.01 / 0.275},
                                                                            {1, 0.16 / 0.275},
                                                                            {2, 0.0025 / 0.275},
                                                                            {3, 0.0625 / 0.275},
                                                                            {4, 0.04 / 0.275}});
}

TEST(Sampling, TopKKeepsTheKMostLikely) {
  SamplingOptions options = at_temperature(1);
  options.top_k = 2;
  expect_distribution(next_token_distribution(kFive, options), {{1, 0.4 / 0.65}, {3, 0.25 / 0.65}});
  options.top_k = 99;
  EXPECT_EQ(next_token_distribution(kFive, options).size(), 5u);
}

TEST(Sampling, TopKPrefersTheSmallerIdOfEquallyLikelyTokens) {
  SamplingOptions options = at_temperature(1);
  options.top_k = 2;
  expect_distribution(next_token_distribution(std::vector<float>(6, 0.5f), options),
                      {{0, 0.5}, {1, 0.5}});
}

TEST(Sampling, TopPKeepsTheFewestThatReachP) {
  SamplingOptions options = at_temperature(1);
  options.top_p = 0.6;  // 0.4 + 0.25 reach it, 0.4 alone does not
  expect_distribution(next_token_distribution(kFive, options), {{1, 0.4 / 0.65}, {3, 0.25 / 0.65}});
  options.top_p = 0.3;
  expect_distribution(next_token_distribution(kFive, options), {{1, 1.0}});
  options.top_p = 0.94;
  EXPECT_EQ(next_token_distribution(kFive, options).size(), 4u);
  options.top_p = 0.96;
  EXPECT_EQ(next_token_distribution(kFive, options).size(), 5u);
}

TEST(Sampling, MinPKeepsWhatIsLikelyEnoughBesideTheLikeliest) {
  SamplingOptions options = at_temperature(1);
  options.min_p = 0.45;  // at least 0.18
  expect_distribution(next_token_distribution(kFive, options),
                      {{1, 0.4 / 0.85}, {3, 0.25 / 0.85}, {4, 0.2 / 0.85}});
}

TEST(Sampling, TopPCountsWhatTopKHasLeft) {
  SamplingOptions options = at_temperature(1);
  options.top_k = 3;  // 0.4, 0.25, 0.2: renormalised 0.47, 0.29, 0.24
  options.top_p = 0.7;
  // In the whole distribution 0.4 + 0.25 would fall short of 0.7.
  expect_distribution(next_token_distribution(kFive, options), {{1, 0.4 / 0.65}, {3, 0.25 / 0.65}});
}

TEST(Sampling, TemperatureComesBeforeTopP) {
  SamplingOptions options = at_temperature(0.5);
  options.top_p = 0.55;  // 0.16/0.275 = 0.58 reaches it alone
  expect_distribution(next_token_distribution(kFive, options), {{1, 1.0}});
}

TEST(Sampling, NeverDrawsWhatTheFiltersRemoved) {
  SamplingOptions options = at_temperature(5);
  options.top_k = 2;
  bool one = false, three = false;
  for (uint64_t position = 0; position < 200; ++position) {
    const uint32_t id = sample_token(kFive, options, 0, position);
    ASSERT_TRUE(id == 1 || id == 3) << id;
    (id == 1 ? one : three) = true;
  }
  EXPECT_TRUE(one && three);
}

TEST(Sampling, FrequenciesFollowTheDistribution) {
  constexpr int kDraws = 20000;
  std::vector<int> counts(5);
  for (uint64_t position = 0; position < kDraws; ++position) {
    ++counts[sample_token(kFive, at_temperature(1), 3, position)];
  }
  const double want[] = {0.1, 0.4, 0.05, 0.25, 0.2};
  // Five standard deviations of the least certain frequency; the seed makes it one fixed outcome.
  for (size_t id = 0; id < 5; ++id) EXPECT_NEAR(counts[id] / double{kDraws}, want[id], 0.0175);
}

TEST(Sampling, SeedStreamAndPositionDecideTheDraw) {
  const auto draw = [](uint64_t seed, uint64_t stream) {
    SamplingOptions options = at_temperature(1);
    options.seed = seed;
    std::vector<uint32_t> ids;
    for (uint64_t position = 0; position < 32; ++position) {
      ids.push_back(sample_token(kFive, options, stream, position));
    }
    return ids;
  };
  EXPECT_EQ(draw(7, 0), draw(7, 0));
  EXPECT_NE(draw(7, 0), draw(8, 0));
  EXPECT_NE(draw(7, 0), draw(7, 1));
}

TEST(Sampling, MinusInfinityIsNever) {
  const std::vector<float> logits = {-kInfinity, 0, -kInfinity, 0};
  expect_distribution(next_token_distribution(logits, at_temperature(1)), {{1, 0.5}, {3, 0.5}});
}

TEST(Sampling, LogitsThatAreNotNumbersAreAnError) {
  for (const float bad : {std::nanf(""), kInfinity}) {
    const std::vector<float> logits = {0, bad, 1};
    for (const double temperature : {0.0, 1.0}) {
      try {
        sample_token(logits, at_temperature(temperature), 0, 0);
        ADD_FAILURE() << bad << " was accepted";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::data);
        EXPECT_NE(std::string(error.what()).find("token 1"), std::string::npos) << error.what();
      }
    }
  }
}

TEST(Sampling, OptionsOutOfRangeNameKeyValueAndRange) {
  EXPECT_EQ(usage_error([](SamplingOptions&) {}), "");
  EXPECT_EQ(usage_error([](SamplingOptions& o) { o.temperature = -1; }),
            "temperature is -1; allowed: 0 (greedy) or more");
  EXPECT_NE(usage_error([](SamplingOptions& o) { o.temperature = NAN; }), "");
  EXPECT_EQ(usage_error([](SamplingOptions& o) { o.top_k = -3; }),
            "top-k is -3; allowed: 1 or more; 0 turns it off");
  EXPECT_EQ(usage_error([](SamplingOptions& o) { o.top_p = 0; }),
            "top-p is 0; allowed: more than 0, at most 1");
  EXPECT_EQ(usage_error([](SamplingOptions& o) { o.min_p = 1.5; }),
            "min-p is 1.5; allowed: 0 to 1");
}

}  // namespace
}  // namespace mythos
