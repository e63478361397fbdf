#pragma once
#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/files.h"

namespace mythos {

// Which steps of a run have been saved, and which of those checkpoints is the best: the one with
// the lowest loss, of validation if there is any, else of training.
class KeptCheckpoints {
 public:
  explicit KeptCheckpoints(fs::path run) : run_(std::move(run)) {}

  // The last step that was saved, as `path`, and the last that was to be.
  void trying(int64_t step) { tried_ = step; }
  void saved(int64_t step, fs::path path);
  const fs::path& newest() const { return newest_; }
  fs::path best() const { return run_ / "best"; }
  std::optional<int64_t> saved_step() const { return saved_; }
  std::optional<int64_t> tried_step() const { return tried_; }
  std::optional<int64_t> best_step() const { return best_; }

  // Makes the step that was saved last the best one if this loss of it is the lowest; `marks`: in
  // the run's directory, too.
  void judge(double loss, bool marks);

  // "best" in the state of a checkpoint.
  void save(nlohmann::json& state) const;
  void restore(const nlohmann::json& state);

  // What is left of a run that fails now, for a message.
  std::string text() const;

 private:
  fs::path run_, newest_;
  std::optional<int64_t> saved_, tried_, best_;
  double best_loss_ = std::numeric_limits<double>::infinity();
};

}  // namespace mythos
