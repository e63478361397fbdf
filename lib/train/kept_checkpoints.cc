#include "train/kept_checkpoints.h"

#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"

namespace mythos {

void KeptCheckpoints::saved(int64_t step, fs::path path) {
  saved_ = tried_ = step;
  newest_ = std::move(path);
}

void KeptCheckpoints::judge(double loss, bool marks) {
  if (!(loss < best_loss_)) return;
  best_loss_ = loss;
  best_ = saved_;
  if (marks) mark_best_checkpoint(run_, *saved_);
}

void KeptCheckpoints::save(nlohmann::json& state) const {
  state["best"] = nullptr;
  if (best_) state["best"] = {{"step", *best_}, {"loss", best_loss_}};
}

void KeptCheckpoints::restore(const nlohmann::json& state) {
  if (!state.contains("best") || !state["best"].is_object()) return;
  best_ = state["best"].at("step").get<int64_t>();
  best_loss_ = state["best"].at("loss").get<double>();
}

std::string KeptCheckpoints::text() const {
  if (!saved_) return "No checkpoint was saved before it";
  std::string text = "The checkpoint " + newest_.string() + " is from before it";
  if (best_ && best_ != saved_) {
    text += "; the best one, of step " + std::to_string(*best_) + ", is " + best().string();
  }
  return text;
}

}  // namespace mythos
