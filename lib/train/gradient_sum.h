#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "dist/ranks.h"
#include "train/trained_tensors.h"

namespace mythos {

// Sums gradients over ranks that hold all weights. Tensors share messages of about `bucket_bytes`,
// in the order in which the backward pass completes them (backward_order()): while it goes on, what
// is complete is already under way (Li et al. 2020, arXiv 2006.15704). Every rank
// sends the same messages in the same order, whatever order its own gradients come in.
class GradientSum {
 public:
  // The ranks over which a tensor's gradient is summed, among those that sum the rest.
  using RanksOf = std::function<Ranks&(const TrainedTensor&)>;
  // All must outlive it. There is one for a model at a time. Without `ranks_of` every tensor is
  // summed over `ranks`; one of a single rank is left as it is.
  GradientSum(const Parameters& parameters, Ranks& ranks, int64_t bucket_bytes,
              const RanksOf& ranks_of = {});
  ~GradientSum();
  GradientSum(const GradientSum&) = delete;
  GradientSum& operator=(const GradientSum&) = delete;

  // Says that the next backward pass is the step's last: what it completes is sent. Passes before
  // it send nothing.
  void begin_last_pass();
  // Sends the rest and waits; the gradient of every trained tensor is then the sum over ranks. One
  // that a rank has not counts as 0 there.
  void finish();

  int64_t buckets() const { return static_cast<int64_t>(buckets_.size()); }
  // The messages that were under way when finish() was called last.
  int64_t overlapped() const { return overlapped_; }

 private:
  struct Bucket {
    Ranks* ranks = nullptr;
    int64_t bytes = 0;
    std::vector<Tensor> parameters;
    size_t missing = 0;  // gradients that are not complete
    Tensor gradients;    // one behind another
    std::unique_ptr<Pending> pending;
  };
  void complete(Bucket& bucket);
  void start(Bucket& bucket);
  void take(Bucket& bucket);

  std::vector<Bucket> buckets_;
  size_t next_ = 0;  // to be sent
  bool last_pass_ = false;
  int64_t overlapped_ = 0;
};

}  // namespace mythos
