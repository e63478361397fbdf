#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "model/weights.h"

// What compares a model with its equations written out in fp64 on the CPU.
namespace mythos {

// The largest difference of two numbers at one place.
inline double distance(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// Expects every parameter to have the gradient that `wanted` gives by name, within `tolerance` of
// that one's largest number.
inline void expect_gradients(const Parameters& parameters, double tolerance,
                             const std::function<Tensor(const std::string& name)>& wanted) {
  for (const Parameters::Item& item : parameters.items()) {
    const Tensor want = wanted(item.name);
    ASSERT_TRUE(want.defined() && item.tensor.grad().defined()) << item.name;
    EXPECT_LE(distance(item.tensor.grad().to(at::kCPU, at::kDouble), want),
              tolerance * want.abs().max().item<double>())
        << item.name;
  }
}

}  // namespace mythos
