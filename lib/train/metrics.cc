#include "train/metrics.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <numeric>

#include "base/error.h"
#include "base/strings.h"
#include "report/prometheus.h"
#include "report/run_metrics.h"

namespace mythos {
namespace {

// The lines of steps up to `last_step`, all of them whole and valid. Sets `validation` to the last
// line of validation among them.
std::string lines_up_to(const std::string& content, int64_t last_step, nlohmann::json& validation) {
  std::string kept;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = content.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string_view line = std::string_view(content).substr(begin, end + 1 - begin);
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.contains("step") && json["step"].is_number_integer() &&
        json["step"].get<int64_t>() <= last_step) {
      kept += line;
      // In JSON a value that is not finite is null.
      if (json.contains("val_loss") && json["val_loss"].is_number()) validation = json;
    }
    begin = end + 1;
  }
  return kept;
}

std::string short_count(double count) {
  std::string text = human_count(count);
  std::erase(text, ' ');
  return text;
}

// As a whole number where it is one.
nlohmann::json plain_number(double number) {
  const auto whole = static_cast<int64_t>(number);
  return static_cast<double>(whole) == number ? nlohmann::json(whole) : nlohmann::json(number);
}

// The text of a gradient norm, which is NaN if every step was skipped.
std::string norm_text(double norm) {
  if (std::isnan(norm)) return "-";
  return norm < 1000 ? strprintf("%.2f", norm) : strprintf("%.1e", norm);
}

}  // namespace

MetricsFile::MetricsFile(const fs::path& path, int64_t resumed_step, const MetricsCopies& copies)
    : path_(path), prometheus_(copies.prometheus) {
  if (path.empty()) return;
  std::string kept;
  if (resumed_step > 0 && fs::exists(path)) {
    kept = lines_up_to(read_file(path), resumed_step, last_validation_);
  }
  write_file_atomic(path, kept);
  file_ = std::fopen(path.c_str(), "ae");
  if (!file_) {
    fail(ErrorKind::resources, "cannot open " + path.string() + ": " + std::strerror(errno));
  }
  if (copies.tensorboard) {
    // The line of the step that was saved stays.
    events_.emplace(path.parent_path() / "tensorboard", resumed_step > 0 ? resumed_step + 1 : 0);
  }
}

MetricsFile::~MetricsFile() {
  if (file_) std::fclose(file_);
}

void MetricsFile::append(const nlohmann::ordered_json& line) {
  if (!file_) return;
  // Names of data directories need not be UTF-8, but JSON must be.
  const std::string text =
      line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0) {
    fail(ErrorKind::resources, "cannot write " + path_.string() + ": " + std::strerror(errno));
  }
  if (!events_ && !prometheus_) return;
  const int64_t step = line.at("step");
  const auto numbers = flat_numbers(line);
  if (events_) events_->append(step, numbers);
  if (prometheus_) {
    for (const auto& number : numbers) {
      const auto known =
          std::ranges::find(newest_, number.first, &std::pair<std::string, double>::first);
      if (known == newest_.end()) {
        newest_.push_back(number);
      } else {
        known->second = number.second;
      }
    }
    const fs::path run = path_.parent_path();
    write_file_atomic(run / "metrics.prom",
                      prometheus_text(fs::weakly_canonical(run).filename(), step, newest_));
  }
}

double Interval::bits_per_byte() const {
  return nats / std::numbers::ln2 / static_cast<double>(bytes - lost_bytes);
}

nlohmann::json to_json(const Interval& interval) {
  nlohmann::json json = {{"steps", interval.steps},
                         {"targets", interval.targets},
                         {"bytes", interval.bytes},
                         {"loops", plain_number(interval.loops)},
                         {"nats", interval.nats},
                         {"grad_norm", interval.grad_norm},
                         {"places", interval.places},
                         {"skipped", interval.skipped},
                         {"lost_targets", interval.lost_targets},
                         {"lost_bytes", interval.lost_bytes}};
  for (const auto& [name, sum] : interval.terms) json["objectives"][name] = sum;
  if (!interval.depth.empty()) {
    json["depth"] = interval.depth;
    json["depth_run"] = interval.depth_run;
  }
  if (!interval.expert_load.empty()) json["expert_load"] = interval.expert_load;
  return json;
}

Interval interval_from_json(const nlohmann::json& json) {
  const int64_t targets = json.at("targets");
  // Older checkpoints do not state the positions (there was hardly any padding) and knew no fp16.
  Interval interval = {json.at("steps"),
                       targets,
                       json.at("bytes"),
                       json.at("loops"),
                       json.at("nats"),
                       json.at("grad_norm"),
                       json.value("places", targets),
                       json.value("skipped", int64_t{0}),
                       json.value("lost_targets", int64_t{0}),
                       json.value("lost_bytes", int64_t{0})};
  if (json.contains("objectives")) {
    for (const auto& [name, sum] : json["objectives"].items()) {
      interval.terms.emplace_back(name, sum.get<double>());
    }
  }
  if (json.contains("depth")) interval.depth = json["depth"].get<std::vector<double>>();
  interval.depth_run = json.value("depth_run", 0.0);
  if (json.contains("expert_load")) {
    interval.expert_load = json["expert_load"].get<std::vector<std::vector<double>>>();
  }
  return interval;
}

int64_t Interval::Columns::count() const {
  return static_cast<int64_t>(terms.size()) + depths + (depths > 0 ? 1 : 0) + layers * experts;
}

void Interval::put_columns(const Columns& columns, std::span<const double> sums) {
  auto next = sums.begin();
  const auto take = [&](int64_t count) {
    const auto begin = next;
    next += count;
    return std::vector<double>(begin, next);
  };
  terms.clear();
  for (const std::string& name : columns.terms) terms.emplace_back(name, *next++);
  depth = take(columns.depths);
  if (columns.depths > 0) depth_run = *next++;
  expert_load.clear();
  for (int64_t i = 0; i < columns.layers; ++i) expert_load.push_back(take(columns.experts));
}

std::vector<double> Interval::columns(const Columns& columns) const {
  std::vector<double> sums;
  const auto put = [&](const std::vector<double>& values, int64_t count) {
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      sums.push_back(i < values.size() ? values[i] : 0);
    }
  };
  for (const std::string& name : columns.terms) {
    const auto found = std::ranges::find(terms, name, &std::pair<std::string, double>::first);
    sums.push_back(found == terms.end() ? 0 : found->second);
  }
  put(depth, columns.depths);
  if (columns.depths > 0) sums.push_back(depth_run);
  for (size_t i = 0; i < static_cast<size_t>(columns.layers); ++i) {
    put(i < expert_load.size() ? expert_load[i] : std::vector<double>(), columns.experts);
  }
  return sums;
}

double Interval::halting_saves() const {
  double needed = 0;
  for (size_t i = 0; i < depth.size(); ++i) needed += static_cast<double>(i + 1) * depth[i];
  return 1 - needed / depth_run;
}

std::vector<double> Interval::most_loaded() const {
  std::vector<double> most;
  for (const std::vector<double>& load : expert_load) {
    const double sum = std::accumulate(load.begin(), load.end(), 0.0);
    most.push_back(std::ranges::max(load) * static_cast<double>(load.size()) / sum);
  }
  return most;
}

std::vector<double> Interval::load_entropy() const {
  std::vector<double> entropies;
  for (const std::vector<double>& load : expert_load) {
    const double sum = std::accumulate(load.begin(), load.end(), 0.0);
    double entropy = 0;
    for (const double one : load) {
      if (one > 0) entropy -= one / sum * std::log(one / sum);
    }
    const double even = std::log(static_cast<double>(load.size()));
    entropies.push_back(sum > 0 ? (even > 0 ? entropy / even : 1)
                                : std::numeric_limits<double>::quiet_NaN());
  }
  return entropies;
}

nlohmann::ordered_json to_json(const StepMetrics& metrics) {
  nlohmann::ordered_json json = {{"step", metrics.step},
                                 {"tokens", metrics.tokens},
                                 {"loss", metrics.interval.loss()},
                                 {"bpb", metrics.interval.bits_per_byte()},
                                 {"grad_norm", metrics.interval.mean_grad_norm()},
                                 {"lr", metrics.lr},
                                 {"loops", plain_number(metrics.loops)},
                                 {"mean_loops", metrics.interval.mean_loops()},
                                 {"padding", metrics.interval.padding()},
                                 {"data_wait", metrics.data_wait},
                                 {"tokens_per_second", metrics.tokens_per_second},
                                 {"seconds", metrics.seconds}};
  const Interval& interval = metrics.interval;
  for (const auto& [name, sum] : interval.terms) {
    json["objectives"][name] = sum / static_cast<double>(interval.targets - interval.lost_targets);
  }
  if (!interval.depth.empty()) {
    nlohmann::ordered_json& depth = json["depth"] = nlohmann::ordered_json::array();
    for (const double count : interval.depth) depth.emplace_back(plain_number(count));
    json["halting_saves"] = interval.halting_saves();
  }
  if (!interval.expert_load.empty()) {
    json["experts"] = {{"most_loaded", interval.most_loaded()},
                       {"entropy", interval.load_entropy()}};
  }
  if (metrics.mfu) json["mfu"] = *metrics.mfu;
  if (metrics.loss_scale) json["loss_scale"] = *metrics.loss_scale;
  if (metrics.rank_spread) json["rank_spread"] = *metrics.rank_spread;
  if (metrics.skipped_steps) json["skipped_steps"] = *metrics.skipped_steps;
  return json;
}

std::string progress_line(const StepMetrics& metrics) {
  const Interval& interval = metrics.interval;
  std::string text =
      strprintf("step %d/%d  loss %.3f  bpb %.3f  |g| %s  lr %.1e  loops %.1f  %s tok/s",
                metrics.step, metrics.steps, interval.loss(), interval.bits_per_byte(),
                norm_text(interval.mean_grad_norm()), metrics.lr, interval.mean_loops(),
                short_count(metrics.tokens_per_second));
  if (metrics.data_wait >= 0.05) text += strprintf("  data wait %.0f%%", 100 * metrics.data_wait);
  if (interval.skipped > 0) {
    text += strprintf("  %d skipped", interval.skipped);
  }
  return text + "  ETA " + human_duration(metrics.seconds_left);
}

}  // namespace mythos
