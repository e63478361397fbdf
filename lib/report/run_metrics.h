#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"

// What a training run has written of itself (man/mythos-train.1): metrics.jsonl and run.json.
namespace mythos {

// The numbers of a line of metrics by name, in its order: a number in an object or an array within
// it as "objectives/next_token" and "depth/1" (arrays count from 1). The step, texts, and values
// that are not finite are left out.
std::vector<std::pair<std::string, double>> flat_numbers(const nlohmann::ordered_json& line);

struct Point {
  double step = 0, value = 0;
};

struct RunMetrics {
  std::string name;  // the last part of the directory's name
  std::map<std::string, std::vector<Point>> series;
  nlohmann::ordered_json record;  // run.json; null if the run is older than that file
  int64_t damaged_lines = 0;      // of metrics.jsonl, passed over
};

// Reads a run's directory. Fails (data) if it has no metrics.jsonl, or not one whole line in it.
RunMetrics read_run_metrics(const fs::path& run);

}  // namespace mythos
