#pragma once
#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>

namespace mythos {

// Tells when training has blown up though its loss is finite: the mean loss of a line of metrics
// lies above the lowest so far (or above that of the uniform distribution, where that is less) by
// more than half of what the uniform distribution costs.
class BlowUpWatch {
 public:
  // A blow-up that lasts this many steps does not pass by itself.
  static constexpr int64_t kPatienceSteps = 50;

  explicit BlowUpWatch(int64_t vocab_size);

  enum class Verdict {
    sound,
    unsound,  // above the limit, but never was below it: first weights that are far off
    begins,
    goes_on,
    lasts,  // for kPatienceSteps or more
  };
  // Of the line of `step`, with the mean loss in nats per token.
  Verdict judge(int64_t step, double loss);

  double lowest() const { return lowest_; }                       // infinite before the first line
  bool above_limit() const { return above_limit_; }               // the newest line
  int64_t steps() const { return since_ ? step_ - *since_ : 0; }  // since the blow-up began

  // Kept in checkpoints, so that a resumed run judges alike: lowest_loss and blown_since. A
  // state without them is that of a new run.
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
