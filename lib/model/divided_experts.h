#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "arch/expert_share.h"
#include "dist/ranks.h"
#include "model/expert_exchange.h"
#include "model/weights.h"

namespace mythos {

// The routed experts of a model that the ranks of a job divide while it generates or is measured.
// Rank 0 runs the model. For each mixture it sends the tokens and their routes to all ranks; each
// computes the tokens that chose its experts, and the results are summed over the ranks. The others
// do nothing else, so that what becomes of a text (draws, exits, stops) is rank 0's alone to
// decide.
class DividedExperts final : public ExpertExchange {
 public:
  // `share`: what weights of this rank hold (load_checkpoint()). The ranks must outlive this; none
  // of them waits longer than `timeout_seconds` for rank 0, however long that has no mixture.
  DividedExperts(const ModelConfig& config, const ExpertShare& share, Ranks& ranks,
                 double timeout_seconds);

  // Rank 0 does `work`, whose passes over `weights` use this; the others compute their share until
  // that is done. All ranks call it. What `work` throws leaves here on rank 0 alone: it is to tell
  // the others (Ranks::leave()).
  void run(const Weights& weights, const std::function<void()>& work);

  bool needs_every_loop() const override { return false; }
  Tensor mixture(const Tensor& x, const Tensor& experts, const Tensor& weights,
                 const Matrix& gate_up, const Matrix& down) override;

 private:
  // The weights of one mixture, of the experts that are here.
  struct Stack {
    Matrix gate_up, down;
  };
  // What rank 0 tells before it sends anything: `stack` counts stacks_, or is one of these.
  static constexpr int64_t kIdle = -1, kDone = -2;
  struct Call {
    int64_t stack = kIdle, tokens = 0, type = 0;  // of x (at::ScalarType)
  };
  Call tell(const Call& call);
  void serve();
  void stay_in_touch();
  int64_t stack_of(const Matrix& gate_up) const;
  Tensor packed_bytes(const Call& call) const;
  Tensor summed(const Call& call, const Tensor& bytes);
  Tensor own_results(const Tensor& x, const Tensor& experts, const Tensor& weights,
                     const Stack& stack) const;

  const ModelConfig config_;
  const ExpertShare share_;
  Ranks& ranks_;
  const double timeout_seconds_;
  std::vector<Stack> stacks_;
  at::Device device_ = at::kCPU;
  // On rank 0: one collective at a time, of work and of the thread that tells that it lives.
  std::mutex mutex_;
  std::condition_variable ended_;
  bool has_ended_ = false;
};

// work(), by DividedExperts::run() where `experts` is not null.
void run_with(DividedExperts* experts, const Weights& weights, const std::function<void()>& work);

}  // namespace mythos
