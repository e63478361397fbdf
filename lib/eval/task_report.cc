#include <nlohmann/json.hpp>
#include <numeric>

#include "base/strings.h"
#include "eval/task_score.h"

namespace mythos {
namespace {

// For each core layer and each loop but the first: the share of the tokens' choices that they also
// made in the loop before.
std::vector<std::vector<double>> expert_overlap(const TaskScore& score) {
  std::vector<std::vector<double>> overlap;
  for (size_t layer = 0; layer < score.expert_load.size(); ++layer) {
    const auto& load = score.expert_load[layer];
    const auto choices =
        std::accumulate(load.begin(), load.end(), 0.0) / static_cast<double>(score.loops);
    overlap.emplace_back();
    for (const int64_t repeats : score.expert_repeats[layer]) {
      overlap.back().push_back(static_cast<double>(repeats) / choices);
    }
  }
  return overlap;
}

nlohmann::ordered_json score_json(const TaskScore& score, bool halts) {
  nlohmann::ordered_json json;
  json["loops"] = score.loops;
  json["rows"] = score.rows;
  json["exact"] = score.exact;
  json["accuracy"] = score.accuracy();
  json["tokens"] = score.tokens;
  json["right_tokens"] = score.right_tokens;
  if (halts) json["mean_loops"] = score.mean_loops();
  if (!score.expert_load.empty()) json["expert_load"] = score.expert_load;
  if (!score.expert_repeats.empty()) json["expert_overlap"] = expert_overlap(score);
  return json;
}

template <class F>
std::string line_of(const std::string& label, int64_t rows, size_t columns, F&& cell) {
  std::string text = strprintf("%-10s %8s", label, rows > 0 ? with_commas(rows) : "rows");
  for (size_t i = 0; i < columns; ++i) text += strprintf(" %9s", cell(i));
  return text + "\n";
}

// A table with a line for each difficulty and one for all; f makes a cell of a score.
template <class F>
std::string table(const TaskReport& report, F&& f) {
  const size_t columns = report.loops.size();
  std::string text = line_of("difficulty", 0, columns, [&](size_t i) {
    return strprintf("%d loop%s", report.loops[i], report.loops[i] == 1 ? "" : "s");
  });
  for (size_t d = 0; d < report.difficulties.size(); ++d) {
    const TaskScore* row = &report.scores[d * columns];
    text += line_of(std::to_string(report.difficulties[d]), row->rows, columns,
                    [&](size_t i) { return f(row[i]); });
  }
  return text + line_of("all", report.all.front().rows, columns,
                        [&](size_t i) { return f(report.all[i]); });
}

}  // namespace

nlohmann::ordered_json to_json(const TaskReport& report) {
  nlohmann::ordered_json json;
  json["schema"] = "mythos.eval-tasks/1";
  json["checkpoint"] = report.checkpoint;
  json["step"] = report.step;
  json["tasks"] = report.tasks;
  json["device"] = report.device;
  json["compute_type"] = report.compute_type;
  json["stops"] = report.stops;
  json["loops"] = nlohmann::ordered_json::array();
  for (const TaskScore& score : report.all)
    json["loops"].push_back(score_json(score, report.halts));
  json["difficulties"] = nlohmann::ordered_json::array();
  const size_t columns = report.loops.size();
  for (size_t d = 0; d < report.difficulties.size(); ++d) {
    nlohmann::ordered_json row = {{"difficulty", report.difficulties[d]}};
    for (size_t i = 0; i < columns; ++i) {
      row["loops"].push_back(score_json(report.scores[d * columns + i], report.halts));
    }
    json["difficulties"].push_back(std::move(row));
  }
  return json;
}

std::string task_table(const TaskReport& report) {
  std::string text = "exact match\n" + table(report, [](const TaskScore& score) {
                       return strprintf("%.1f%%", 100 * score.accuracy());
                     });
  if (report.halts) {
    text += "\nmean loops of the answers' tokens\n" + table(report, [](const TaskScore& score) {
              return strprintf("%.2f", score.mean_loops());
            });
  }
  return text;
}

}  // namespace mythos
