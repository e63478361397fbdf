#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mythos {

// Lets sources take turns by given shares, which sum to 1. At any time each source has had its
// share of all turns give or take less than one turn (Tijdeman, "The chairman assignment problem",
// 1980).
class Mixture {
 public:
  explicit Mixture(std::vector<double> shares)
      : shares_(std::move(shares)), taken_(shares_.size(), 0) {}

  // The source whose turn is next.
  size_t next() const;
  void take(size_t source) {
    ++taken_[source];
    ++turns_;
  }
  void restore(std::vector<uint64_t> taken);

  const std::vector<double>& shares() const { return shares_; }
  // The number of turns that each source has had, and that all have had together.
  const std::vector<uint64_t>& taken() const { return taken_; }
  uint64_t turns() const { return turns_; }

 private:
  std::vector<double> shares_;
  std::vector<uint64_t> taken_;
  uint64_t turns_ = 0;
};

}  // namespace mythos
