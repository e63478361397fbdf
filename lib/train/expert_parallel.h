#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "arch/expert_share.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/slices.h"
#include "dist/ranks.h"
#include "model/expert_exchange.h"
#include "model/weights.h"
#include "train/trained_tensors.h"

namespace mythos {

// The experts of one rank among train.expert_ranks (arch/expert_share.h). A mixture routes its own
// tokens; each row goes to the rank of its expert and its result comes back, by all-to-all, and the
// backward pass sends gradients the same ways. So a rank's experts have the gradient of all that
// their group has routed to them, which is summed over the ranks that hold the same experts. With
// train.expert_ranks = 1 every rank has all experts, and everything here does nothing.
class ExpertParallel final : public ExpertExchange {
 public:
  // Takes all but this rank's experts out of the parameters. Both must outlive it.
  ExpertParallel(const Config& config, Parameters& parameters, Ranks& ranks);

  bool divides() const { return group_ != nullptr; }
  // For passes: null where nothing is exchanged.
  ExpertExchange* exchange() { return divides() ? this : nullptr; }
  bool needs_every_loop() const override { return true; }
  Tensor mixture(const Tensor& x, const Tensor& experts, const Tensor& weights,
                 const Matrix& gate_up, const Matrix& down) override;

  // Takes all but this rank's experts out of other whole parameters of the model.
  void divide(Parameters& parameters) const;
  // The shape of a tensor that all ranks together hold, and the first number of it that this rank
  // holds.
  std::vector<int64_t> whole_shape(const TrainedTensor& tensor) const;
  int64_t first_number(const TrainedTensor& tensor) const;

  // The ranks that hold the same numbers of a tensor, over which its gradient is to be summed.
  Ranks& holding(const TrainedTensor& tensor) const;
  // The norm of all gradients, alike on all ranks to the last bit; `own` is that of this rank's,
  // which are complete (train.layout = replicated).
  Tensor norm(const Tensor& own) const;

  // Takes what belongs to experts out of tensors of a checkpoint, weights or optimizer state, and
  // gives what this rank writes of it: slices, if it is one of the first group.
  NamedTensors take_slices(NamedTensors& tensors) const;
  // The whole shapes of the tensors of these slices.
  TensorShapes sliced(const NamedTensors& slices) const;
  // The optimizer's state of a checkpoint with this rank's part of what belongs to experts, stored
  // whole or in slices of any ranks; `own` is the state that the optimizer has. Fails (data) where
  // slices leave numbers out.
  TensorMap own_state(TensorMap stored, const NamedTensors& own, const std::string& origin) const;

  // The rows that this rank's experts have got since the last call, and the largest of all ranks'
  // divided by their mean. All ranks call it.
  double take_spread();

 private:
  // The rows of one mixture: those that go to each rank and those that come from it, and the expert
  // [R] int64, counted from this rank's first, of each row that comes.
  struct Counts {
    std::vector<int64_t> sent, received;
    Tensor experts;
  };
  Counts exchange_counts(const Tensor& sorted_experts);
  Tensor swapped(const Tensor& rows, const std::vector<int64_t>& to,
                 const std::vector<int64_t>& from);
  bool is_divided(const std::string& name) const { return shapes_.contains(name); }

  Ranks& ranks_;
  int64_t n_experts_ = 0;
  ExpertShare share_;
  std::unique_ptr<Ranks> group_;     // that hold all experts together; null: nothing is divided
  std::unique_ptr<Ranks> replicas_;  // that hold the same experts
  std::map<std::string, std::vector<int64_t>> shapes_;  // whole ones, by tensor
  std::vector<Tensor> trained_;                         // those of experts
  int64_t rows_ = 0;
};

}  // namespace mythos
