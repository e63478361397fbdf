#pragma once
#include <nlohmann/json_fwd.hpp>

#include "train/trainer.h"

namespace mythos {

// The newest metrics of a result as checkpoints have them; null if there are none yet.
void put_metrics(nlohmann::json& json, const TrainResult& result);
void take_metrics(const nlohmann::json& json, TrainResult& result);

}  // namespace mythos
