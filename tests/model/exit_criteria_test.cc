#include "model/exit_criteria.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/error.h"

namespace mythos {
namespace {

using at::Tensor;
using Numbers = std::vector<double>;

constexpr ExitRule kOutputRules[] = {ExitRule::kl, ExitRule::entropy_diff, ExitRule::huginn_kl,
                                     ExitRule::minp_kl, ExitRule::argmax_stability};
constexpr ExitRule kStateRules[] = {ExitRule::latent, ExitRule::latent_diff, ExitRule::cosine};

Numbers softmax(const float* logits, int64_t count) {
  double sum = 0;
  Numbers p;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(static_cast<double>(logits[i]));
  for (int64_t i = 0; i < count; ++i) p.push_back(std::exp(static_cast<double>(logits[i])) / sum);
  return p;
}

double entropy(const Numbers& p) {
  double sum = 0;
  for (const double x : p) sum -= x * std::log(x + 1e-10);
  return sum;
}

double divergence(const Numbers& p, const Numbers& q) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += p[i] * std::log(p[i] / q[i]);
  return sum;
}

Numbers min_p(Numbers p) {
  const double most = *std::max_element(p.begin(), p.end());
  double sum = 0;
  for (double& x : p) {
    if (x < 0.1 * most) x = 1.0 / static_cast<double>(p.size());
    sum += x;
  }
  for (double& x : p) x /= sum;
  return p;
}

// Definitions of the header, over again; `before` is empty in the first loop.
double plain(ExitRule rule, const Numbers& before, const Numbers& after) {
  const Numbers uniform(after.size(), 1.0 / static_cast<double>(after.size()));
  const bool first = before.empty();
  switch (rule) {
    case ExitRule::kl:
      return first ? INFINITY : divergence(after, before);
    case ExitRule::entropy_diff:
      return std::abs(entropy(after) - (first ? 100 : entropy(before)));
    case ExitRule::huginn_kl:
      return divergence(first ? uniform : before, after);
    case ExitRule::minp_kl:
      return divergence(first ? uniform : min_p(before), min_p(after));
    default:
      ADD_FAILURE();
      return 0;
  }
}

void expect_close(double got, double want, const std::string& what) {
  if (std::isinf(want)) {
    EXPECT_EQ(got, want) << what;
  } else {
    EXPECT_NEAR(got, want, 2e-5 * (1 + std::abs(want))) << what;
  }
}

TEST(ExitCriteria, OutputsAreComparedAsDefined) {
  constexpr int64_t kCount = 37, kLoops = 4;
  at::manual_seed(1);
  const Tensor logits = at::randn({kLoops, 1, 2, kCount}) * 3;
  for (const ExitRule rule : kOutputRules) {
    if (rule == ExitRule::argmax_stability) continue;
    Tensor last;
    for (int64_t loop = 0; loop < kLoops; ++loop) {
      const Tensor before = loop > 0 ? logits[loop - 1] : Tensor();
      last = output_criterion(rule, before, logits[loop], last);
      ASSERT_EQ(last.sizes(), at::IntArrayRef({1, 2}));
      for (int64_t position = 0; position < 2; ++position) {
        const float* after = logits[loop][0][position].data_ptr<float>();
        const float* row = loop > 0 ? before[0][position].data_ptr<float>() : nullptr;
        const double want =
            plain(rule, row ? softmax(row, kCount) : Numbers(), softmax(after, kCount));
        const std::string what = std::string(enum_name(rule)) + " loop " + std::to_string(loop);
        expect_close(last[0][position].item<double>(), want, what);
        expect_close(output_criterion(rule, row, after, kCount, 0), want, what + " of a row");
      }
    }
  }
}

// The number of loops in a row without another likeliest token.
TEST(ExitCriteria, ArgmaxStabilityCountsUnchangedLoops) {
  constexpr ExitRule kRule = ExitRule::argmax_stability;
  const std::vector<int64_t> best = {2, 2, 2, 0, 0, 1, 1, 1};
  const Numbers want = {0, 1, 2, 0, 1, 0, 1, 2};
  Tensor last, before;
  double row_last = 7;  // what an earlier token left
  for (size_t loop = 0; loop < best.size(); ++loop) {
    Tensor logits = at::zeros({1, 1, 3});
    logits[0][0][best[loop]] = 1;
    last = output_criterion(kRule, before, logits, last);
    const float* row = loop > 0 ? before.data_ptr<float>() : nullptr;
    row_last = output_criterion(kRule, row, logits.data_ptr<float>(), 3, row_last);
    EXPECT_EQ(last.item<double>(), want[loop]);
    EXPECT_EQ(row_last, want[loop]);
    before = logits;
  }
}

TEST(ExitCriteria, StatesAreComparedAsDefined) {
  constexpr int64_t kWidth = 24;
  at::manual_seed(2);
  const Tensor before = at::randn({2, 3, kWidth}), after = before + 0.3 * at::randn_like(before);
  std::vector<float> work(kWidth);
  for (const ExitRule rule : kStateRules) {
    const Tensor got = state_criterion(rule, before, after);
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t s = 0; s < 3; ++s) {
        const auto x = before[b][s].to(at::kDouble), y = after[b][s].to(at::kDouble);
        const double size = (rule == ExitRule::latent ? x : y).norm().item<double>();
        const double want = rule == ExitRule::cosine
                                ? 1 - (x.dot(y) / x.norm() / y.norm()).item<double>()
                                : (y - x).norm().item<double>() / size;
        expect_close(got[b][s].item<double>(), want, std::string(enum_name(rule)));
        expect_close(state_criterion(rule, before[b][s].data_ptr<float>(),
                                     after[b][s].data_ptr<float>(), kWidth, work.data()),
                     want, std::string(enum_name(rule)) + " of a row");
      }
    }
  }
}

// From a state of zeros nothing is divided by 0.
TEST(ExitCriteria, AreFiniteFromZero) {
  const Tensor before = at::zeros({1, 1, 8}), after = at::ones({1, 1, 8});
  std::vector<float> work(8);
  for (const ExitRule rule : kStateRules) {
    const double want = rule == ExitRule::latent ? std::sqrt(8 / 1e-30) : 1;
    EXPECT_NEAR(state_criterion(rule, before, after).item<double>(), want, 1e-5 * want);
    const double row =
        state_criterion(rule, before.data_ptr<float>(), after.data_ptr<float>(), 8, work.data());
    EXPECT_NEAR(row, want, 1e-5 * want);
  }
}

TEST(ExitCriteria, MeetAThresholdFromBelowButStabilityFromAbove) {
  const Tensor values = at::tensor({0.5, 1.0, 1.5});
  const auto expect = [&](ExitRule rule, bool low, bool equal, bool high) {
    const Tensor got = meets(rule, values, 1);
    const bool want[] = {low, equal, high};
    for (int64_t i = 0; i < 3; ++i) {
      EXPECT_EQ(got[i].item<bool>(), want[i]) << enum_name(rule);
      EXPECT_EQ(meets(rule, values[i].item<double>(), 1), want[i]) << enum_name(rule);
    }
  };
  for (const ExitRule rule : kStateRules) expect(rule, true, false, false);
  for (const ExitRule rule : kOutputRules) {
    if (rule != ExitRule::argmax_stability) expect(rule, true, false, false);
  }
  expect(ExitRule::argmax_stability, false, true, true);
}

TEST(ExitCriteria, EveryRuleWithAThresholdComparesOneOfTheTwo) {
  for (int i = 0; i < static_cast<int>(EnumNames<ExitRule>::names.size()); ++i) {
    DecodeConfig config;
    config.exit = static_cast<ExitRule>(i);
    EXPECT_EQ(compares_states(config.exit) + compares_outputs(config.exit), config.has_threshold())
        << enum_name(config.exit);
  }
}

TEST(ExitCriteria, RulesOfAHeadNeedIt) {
  ModelConfig config;
  for (const ExitRule rule : {ExitRule::halting, ExitRule::gate}) {
    EXPECT_THROW(check_exit(config, rule), Error);
  }
  config.halting = Halting::act;
  EXPECT_NO_THROW(check_exit(config, ExitRule::halting));
  EXPECT_THROW(check_exit(config, ExitRule::gate), Error);
  config.halting = Halting::gate;
  EXPECT_NO_THROW(check_exit(config, ExitRule::gate));
  EXPECT_NO_THROW(check_exit(config, ExitRule::cosine));
}

}  // namespace
}  // namespace mythos
