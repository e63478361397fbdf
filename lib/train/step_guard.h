#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "config/train_config.h"

namespace mythos {

// Judges steps by their loss and gradient norm before they change the weights (train.skip_steps):
// one that is not finite is bad, and so is one that lies more than train.skip_deviations standard
// deviations above the recent mean of the sound steps. Mean and variance are exponential averages
// over about 50 steps; the first 20 sound steps are not judged by them. A deviation counts as at
// least a hundredth of the mean.
class StepGuard {
 public:
  static constexpr int64_t kWarmupSteps = 20;
  static constexpr int64_t kMemorySteps = 50;

  explicit StepGuard(const TrainConfig& config);

  bool on() const { return config_.skip_steps > 0; }
  // Whether the step, of this mean loss in nats and gradient norm before clipping, is to be
  // skipped.
  bool judge(double loss, double norm);
  int64_t bad_in_row() const { return bad_in_row_; }
  // Whether more than train.skip_steps in a row were bad.
  bool exhausted() const { return on() && bad_in_row_ > config_.skip_steps; }
  // What was wrong with the newest bad step, for messages.
  const std::string& reason() const { return reason_; }

  bool can_roll_back() const { return rollbacks_ < config_.rollbacks; }
  // Notes a return to an earlier checkpoint: the bad steps are over, and the rate falls.
  void roll_back();
  int64_t rollbacks() const { return rollbacks_; }
  // The factor of the learning rate, train.rollback_lr_factor for each return.
  double rate_factor() const { return rate_factor_; }

  // Stores "guard" in the state of a checkpoint, if the guard is on, so that a resumed run judges
  // as the run would have. A state without it is that of a new run.
  void save(nlohmann::json& state) const;
  void restore(const nlohmann::json& state);

 private:
  struct Average {
    double mean = 0, variance = 0;
    void add(double value, double share);
    double deviations(double value) const;  // of the value above the mean
  };
  bool deviates(const char* what, const Average& average, double value);

  TrainConfig config_;
  Average loss_, norm_;
  int64_t sound_steps_ = 0;
  int64_t bad_in_row_ = 0;
  std::string reason_;
  int64_t rollbacks_ = 0;
  double rate_factor_ = 1;
};

}  // namespace mythos
