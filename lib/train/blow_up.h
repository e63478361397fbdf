#pragma once
#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>

namespace mythos {

// Notices that training has blown up though its loss is finite: the mean loss of a line of metrics
// exceeds the lowest so far, or the uniform distribution's loss if that is less, by more than half
// of the uniform distribution's loss.
class BlowUpWatch {
 public:
  // A blow-up that lasts so many steps does not pass by itself.
  static constexpr int64_t kPatienceSteps = 50;

  explicit BlowUpWatch(int64_t vocab_size);

  enum class Verdict {
    sound,
    unsound,  // above the limit, but never was below it: the initial weights are far off
    begins,
    goes_on,
    lasts,  // blown up for kPatienceSteps or more
  };
  // Judges the line of metrics of `step`; `loss` is its mean in nats per token.
  Verdict judge(int64_t step, double loss);

  // Loss so far; infinite before the first line.
  double lowest() const { return lowest_; }
  bool above_limit() const { return above_limit_; }               // whether the newest line is
  int64_t steps() const { return since_ ? step_ - *since_ : 0; }  // since the blow-up began

  // Stores lowest_loss, blown_since and above_limit in the state of a checkpoint, so that a resumed
  // run judges as the run would have. A state without them is that of a new run.
  void save(nlohmann::json& state) const;
  void restore(const nlohmann::json& state);

 private:
  double uniform_;
  double lowest_ = std::numeric_limits<double>::infinity();
  bool above_limit_ = false;
  int64_t step_ = 0;
  std::optional<int64_t> since_;
};

}  // namespace mythos
