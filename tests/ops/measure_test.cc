#include <ATen/ATen.h>
#include <ATen/ThreadLocalState.h>
#include <gtest/gtest.h>

#include <thread>

#include "device/operator_profile.h"
#include "device/peaks.h"

namespace mythos {
namespace {

double value_of(const Measurement& row, const std::string& name) {
  for (const auto& [key, value] : row.values) {
    if (key == name) return value;
  }
  return -1;
}

const Measurement* find_row(const std::vector<Measurement>& rows, const std::string& name) {
  for (const Measurement& row : rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

TEST(OperatorProfile, CountsCallsAndGivesOwnTimes) {
  const at::Tensor small = at::ones({4, 4});
  const at::Tensor a = at::ones({256, 256}).requires_grad_();
  const auto rows = profile_operators(at::kCPU, 3, [&] {
    for (int i = 0; i < 5; ++i) at::matmul(small, small);
    at::mm(a, a).sum().backward();
    a.mutable_grad() = at::Tensor();
  });
  const Measurement* mm = find_row(rows, "aten::mm");
  const Measurement* matmul = find_row(rows, "aten::matmul");
  ASSERT_TRUE(mm && matmul);
  EXPECT_EQ(mm->seconds.size(), 3u);
  EXPECT_EQ(value_of(*mm, "calls"), 8) << "five small ones, one forward, two backward";
  EXPECT_EQ(value_of(*matmul, "calls"), 5);
  EXPECT_GT(mm->median_seconds(), matmul->median_seconds()) << "matmul's own time is without mm's";
  EXPECT_TRUE(find_row(rows, "(between operators)"));
  double shares = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    shares += value_of(rows[i], "time_share");
    if (i == 0) continue;
    EXPECT_LE(rows[i].median_seconds(), rows[i - 1].median_seconds());
  }
  EXPECT_NEAR(shares, 1, 1e-6);
}

TEST(OperatorProfile, EndsWithItsRun) {
  const at::Tensor a = at::ones({4, 4});
  profile_operators(at::kCPU, 1, [&] { at::mm(a, a); });
  at::mm(a, a);
  const auto rows = profile_operators(at::kCPU, 1, [&] { at::add(a, a); });
  EXPECT_FALSE(find_row(rows, "aten::mm"));
  EXPECT_TRUE(find_row(rows, "aten::add"));
}

// As autograd does for the backward pass on a device: another thread, with the caller's callbacks.
TEST(OperatorProfile, SeesThreadsThatTheCallersStateWasCarriedTo) {
  const at::Tensor a = at::ones({16, 16});
  const auto rows = profile_operators(at::kCPU, 2, [&] {
    const at::ThreadLocalState state;
    std::thread([&] {
      const at::ThreadLocalStateGuard guard(state);
      for (int i = 0; i < 3; ++i) at::matmul(a, a);
    }).join();
    at::add(a, a);
  });
  const Measurement* mm = find_row(rows, "aten::mm");
  ASSERT_TRUE(mm);
  EXPECT_EQ(mm->seconds.size(), 2u);
  EXPECT_EQ(value_of(*mm, "calls"), 3);
  EXPECT_EQ(value_of(*find_row(rows, "aten::matmul"), "calls"), 3);
  EXPECT_EQ(value_of(*find_row(rows, "aten::add"), "calls"), 1);
}

// An operator that runs while another thread's is open is no part of that one's own time.
TEST(OperatorProfile, KeepsTheOperatorsOfThreadsApart) {
  const at::Tensor a = at::ones({16, 16}).requires_grad_();
  const auto rows = profile_operators(at::kCPU, 1, [&] {
    const at::ThreadLocalState state;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        const at::ThreadLocalStateGuard guard(state);
        for (int k = 0; k < 50; ++k) at::matmul(a, a);
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  EXPECT_EQ(value_of(*find_row(rows, "aten::mm"), "calls"), 200);
  for (const Measurement& row : rows) EXPECT_GE(row.seconds[0], 0) << row.name;
}

TEST(Peaks, ProductsAreOfRandomNumbers) {
  Peaks peaks(at::kCPU, at::kFloat);
  const at::Generator& numbers = at::globalContext().defaultGenerator(at::kCPU);
  const at::Tensor before = numbers.get_state();
  const auto rows = profile_operators(at::kCPU, 1, [&] { peaks.sample(1); });
  const Measurement* normal = find_row(rows, "aten::normal_");
  ASSERT_TRUE(normal)
      << "constants cost a GPU less power, so that it runs faster than it ever does";
  EXPECT_EQ(value_of(*normal, "calls"), 2);
  EXPECT_TRUE(at::equal(numbers.get_state(), before)) << "drawn from numbers of its own";
}

TEST(Peaks, SamplesAddUpAndTheFastestCounts) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    Peaks peaks(at::kCPU, dtype);
    EXPECT_EQ(peaks.flops_per_second(), 0);
    peaks.sample(1);
    peaks.sample(2);
    const std::vector<Measurement> rows = peaks.measurements();
    ASSERT_GE(rows.size(), 2u);
    double best = 0;
    for (const Measurement& row : rows) {
      ASSERT_EQ(row.seconds.size(), 3u) << row.name;
      if (row.amounts[0].first == "flops") {
        best = std::max(best, row.amounts[0].second / row.min_seconds());
      }
    }
    EXPECT_EQ(peaks.flops_per_second(), best);
    EXPECT_EQ(rows.back().amounts[0].first, "bytes");
    EXPECT_EQ(peaks.bytes_per_second(), rows.back().amounts[0].second / rows.back().min_seconds());
  }
}

}  // namespace
}  // namespace mythos
