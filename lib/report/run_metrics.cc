#include "report/run_metrics.h"

#include <cmath>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

void add_numbers(const std::string& name, const nlohmann::ordered_json& value,
                 std::vector<std::pair<std::string, double>>& into) {
  if (value.is_number()) {
    if (const double number = value.get<double>(); std::isfinite(number)) {
      into.emplace_back(name, number);
    }
  } else if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) add_numbers(name + "/" + key, inner, into);
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) {
      add_numbers(name + "/" + std::to_string(i + 1), value[i], into);
    }
  }
}

}  // namespace

std::vector<std::pair<std::string, double>> flat_numbers(const nlohmann::ordered_json& line) {
  std::vector<std::pair<std::string, double>> numbers;
  for (const auto& [key, value] : line.items()) {
    if (key != "step") add_numbers(key, value, numbers);
  }
  return numbers;
}

RunMetrics read_run_metrics(const fs::path& run) {
  const fs::path path = run / "metrics.jsonl";
  if (!fs::exists(path)) {
    fail(ErrorKind::data, shown(run.string()) +
                              ": no metrics.jsonl in it; expected the directory of a run, which "
                              "mythos train --out makes");
  }
  RunMetrics metrics;
  metrics.name = (run / ".").lexically_normal().parent_path().filename().string();
  bool any = false;
  for (const std::string& line : split(read_file(path), '\n')) {
    if (line.empty()) continue;
    const auto json = nlohmann::ordered_json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("step") || !json["step"].is_number()) {
      ++metrics.damaged_lines;
      continue;
    }
    any = true;
    const double step = json["step"].get<double>();
    for (const auto& [name, value] : flat_numbers(json)) {
      metrics.series[name].push_back({step, value});
    }
  }
  if (!any) {
    fail(ErrorKind::data,
         shown(path.string()) +
             ": no line of metrics; the run has not come to train.log_every steps");
  }
  if (const fs::path record = run / "run.json"; fs::exists(record)) {
    metrics.record = nlohmann::ordered_json::parse(read_file(record), nullptr, false);
  }
  return metrics;
}

}  // namespace mythos
