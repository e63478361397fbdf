#pragma once
#include <ATen/ATen.h>

#include <cstdio>
#include <string>

namespace mythos {

// Prints the error of each quantity of a case beside its tolerance, and counts.
class Report {
 public:
  explicit Report(std::string name) : name_(std::move(name)) {}

  void add(const std::string& what, double error, double tolerance) {
    const bool good = error <= tolerance;  // false for NaN
    if (!good) ++failures_;
    ++checks_;
    std::printf("%-18s %-44s error %.2e  tolerance %.0e  %s\n", name_.c_str(), what.c_str(), error,
                tolerance, good ? "ok" : "FAIL");
  }
  void compare(const std::string& what, const at::Tensor& got, const at::Tensor& want,
               double tolerance) {
    if (got.sizes() != want.sizes()) {
      std::printf("%-18s %-44s shape differs  FAIL\n", name_.c_str(), what.c_str());
      ++failures_;
      return;
    }
    add(what, (got.cpu() - want).abs().max().item<double>(), tolerance);
  }
  int checks() const { return checks_; }
  int failures() const { return failures_; }

 private:
  std::string name_;
  int checks_ = 0, failures_ = 0;
};

}  // namespace mythos
