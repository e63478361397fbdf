#include "train/train_result.h"

#include <nlohmann/json.hpp>

namespace mythos {
namespace {

template <class Json>
void put_newest(Json& json, const TrainResult& result) {
  const auto put = [&](const char* key, const auto& value) {
    json[key] = value ? Json(*value) : Json(nullptr);
  };
  put("loss", result.loss);
  put("bpb", result.bpb);
  put("val_loss", result.val_loss);
  put("val_bpb", result.val_bpb);
  put("val_loops", result.val_loops);
}

}  // namespace

void put_metrics(nlohmann::json& json, const TrainResult& result) {
  put_newest(json, result);
}

void take_metrics(const nlohmann::json& json, TrainResult& result) {
  const auto take = [&](const char* key, auto& target) {
    if (json.contains(key) && !json[key].is_null()) target = json[key];
  };
  take("loss", result.loss);
  take("bpb", result.bpb);
  take("val_loss", result.val_loss);
  take("val_bpb", result.val_bpb);
  take("val_loops", result.val_loops);
}

nlohmann::ordered_json to_json(const TrainResult& result) {
  nlohmann::ordered_json json = {{"schema", "mythos.train/1"},
                                 {"checkpoint", result.checkpoint.string()},
                                 {"device", result.device},
                                 {"compute_type", result.compute_type},
                                 {"parameters", result.parameters},
                                 {"first_step", result.first_step},
                                 {"step", result.step},
                                 {"tokens", result.tokens},
                                 {"skipped_steps", result.skipped_steps},
                                 {"rollbacks", result.rollbacks},
                                 {"seconds", result.seconds},
                                 {"tokens_per_second", result.tokens_per_second}};
  put_newest(json, result);
  return json;
}

}  // namespace mythos
