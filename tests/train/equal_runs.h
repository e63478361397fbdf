#pragma once
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "base/files.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/slices.h"
#include "tiny_run.h"

// Comparisons of a run of several ranks with a run of one.
namespace mythos {

// Relative to the largest of what is expected, and absolute where that is small.
inline void expect_near(const Tensor& found, const Tensor& expected, double tolerance,
                        const std::string& name) {
  const double size = expected.abs().max().item<double>();
  const double error = (found - expected).abs().max().item<double>();
  EXPECT_LE(error, tolerance * (1 + size)) << name;
}

// The metrics of two runs, by their directories.
inline void expect_equal_losses(const fs::path& found, const fs::path& expected, double tolerance) {
  const auto many = metrics_lines(found / "metrics.jsonl"),
             one = metrics_lines(expected / "metrics.jsonl");
  ASSERT_EQ(many.size(), one.size());
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(many[i].at("step"), one[i].at("step"));
    for (const char* key : {"loss", "grad_norm", "val_loss"}) {
      ASSERT_EQ(many[i].contains(key), one[i].contains(key));
      if (!one[i].contains(key)) continue;
      const double value = one[i].at(key);
      EXPECT_NEAR(many[i].at(key).get<double>(), value, tolerance * (1 + std::abs(value)))
          << key << " at step " << one[i].at("step");
    }
  }
}

// Weights and optimizer state of two checkpoints.
inline void expect_equal_checkpoints(const fs::path& found, const fs::path& expected,
                                     double tolerance) {
  const LoadedCheckpoint a = load_checkpoint(found, at::kCPU, LoadFor::resuming);
  const LoadedCheckpoint b = load_checkpoint(expected, at::kCPU, LoadFor::resuming);
  for (const auto& [name, tensor] : named_tensors(b.model->parameters)) {
    expect_near(a.model->parameters.at(name), tensor, tolerance, name);
  }
  for (const auto& [name, tensor] : b.optimizer) {
    const Tensor numbers = stored_numbers(a.optimizer, name, 0, tensor.numel(), "found");
    ASSERT_TRUE(numbers.defined()) << name;
    expect_near(numbers.view(tensor.sizes()), tensor, tolerance, name);
  }
  EXPECT_EQ(a.state.at("cursor"), b.state.at("cursor"));
}

}  // namespace mythos
