#include "base/timing.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/print.h"
#include "base/strings.h"
#include "base/version.h"

namespace mythos {
namespace {

using nlohmann::ordered_json;
using Rows = std::vector<std::vector<std::string>>;

using Numbers = std::vector<std::pair<std::string, double>>;

// The names of the amounts (or values) of all measurements, in order of first use.
std::vector<std::string> names_of(const std::vector<Measurement>& measurements,
                                  Numbers Measurement::*numbers) {
  std::vector<std::string> names;
  for (const Measurement& measurement : measurements) {
    for (const auto& [name, number] : measurement.*numbers) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

const double* find_number(const Numbers& numbers, const std::string& wanted) {
  for (const auto& [name, number] : numbers) {
    if (name == wanted) return &number;
  }
  return nullptr;
}

double per_second(double amount, const Measurement& measurement) {
  return amount / std::max(measurement.median_seconds(), 1e-12);
}

std::string short_seconds(double seconds) {
  if (seconds < 1e-3) return strprintf("%.1f us", seconds * 1e6);
  return seconds < 1 ? strprintf("%.2f ms", seconds * 1e3) : strprintf("%.3f s", seconds);
}

std::string short_value(const std::string& name, double value) {
  if (name.ends_with("_share")) return strprintf("%.1f%%", 100 * value);
  return name.ends_with("_bytes") ? human_bytes(value) : strprintf("%g", value);
}

// "memory_bytes" → "memory", "gemm_share" → "gemm share".
std::string short_name(std::string name) {
  if (name.ends_with("_bytes")) name.resize(name.size() - 6);
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

// A heading and a row for each measurement, for people.
Rows short_rows(const std::vector<Measurement>& measurements) {
  const std::vector<std::string> units = names_of(measurements, &Measurement::amounts);
  const std::vector<std::string> values = names_of(measurements, &Measurement::values);
  Rows rows = {{"", "median", "min"}};
  for (const std::string& unit : units) {
    rows[0].push_back((unit == "bytes" ? "MB" : unit) + "/s");
  }
  for (const std::string& name : values) rows[0].push_back(short_name(name));
  for (const Measurement& measurement : measurements) {
    std::vector<std::string> row = {measurement.name, short_seconds(measurement.median_seconds()),
                                    short_seconds(measurement.min_seconds())};
    for (const std::string& unit : units) {
      const double* amount = find_number(measurement.amounts, unit);
      const double rate = amount ? per_second(*amount, measurement) : 0;
      row.push_back(!amount           ? ""
                    : unit == "bytes" ? strprintf("%.1f", rate / 1e6)
                    : rate < 100      ? strprintf("%.3g", rate)
                                      : human_count(rate));
    }
    for (const std::string& name : values) {
      const double* value = find_number(measurement.values, name);
      row.push_back(value ? short_value(name, *value) : "");
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string plain(const ordered_json& value) {
  return shown(value.is_string() ? value.get<std::string>() : value.dump());
}

std::string table(const ordered_json& facts, const std::vector<Measurement>& measurements) {
  std::string out;
  for (const auto& [key, value] : facts.items()) {
    out += strprintf("%-20s %s\n", key, plain(value));
  }
  const Rows rows = short_rows(measurements);
  std::vector<size_t> widths(rows[0].size(), 10);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  out += '\n';
  for (const auto& row : rows) {
    std::string line = strprintf("%-*s", static_cast<int>(widths[0]), row[0]);
    for (size_t i = 1; i < row.size(); ++i) {
      line += strprintf("  %*s", static_cast<int>(widths[i]), row[i]);
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return out;
}

std::string markdown(const ordered_json& facts, const std::vector<Measurement>& measurements) {
  std::string out;
  for (const auto& [key, value] : facts.items()) out += "- " + key + ": " + plain(value) + "\n";
  Rows rows = short_rows(measurements);
  std::vector<std::string> rule(rows[0].size(), "---:");
  rule[0] = "---";
  rows.insert(rows.begin() + 1, rule);
  out += '\n';
  for (const auto& row : rows) out += "| " + join(row, " | ") + " |\n";
  return out;
}

ordered_json row_json(const Measurement& measurement) {
  ordered_json row = {{"name", measurement.name},
                      {"median_seconds", measurement.median_seconds()},
                      {"min_seconds", measurement.min_seconds()},
                      {"seconds", measurement.seconds},
                      {"amounts", ordered_json::object()},
                      {"per_second", ordered_json::object()}};
  for (const auto& [unit, amount] : measurement.amounts) {
    row["amounts"][unit] = amount;
    row["per_second"][unit] = per_second(amount, measurement);
  }
  for (const auto& [name, value] : measurement.values) row["values"][name] = value;
  return row;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

std::string csv(const std::string& subject, const ordered_json& facts,
                const std::vector<Measurement>& measurements) {
  const std::vector<std::string> units = names_of(measurements, &Measurement::amounts);
  const std::vector<std::string> values = names_of(measurements, &Measurement::values);
  Rows rows = {{"subject"}};
  for (const auto& [key, value] : facts.items()) rows[0].push_back(key);
  for (const char* name : {"name", "samples", "median_seconds", "min_seconds"}) {
    rows[0].push_back(name);
  }
  for (const std::string& unit : units) {
    rows[0].push_back(unit);
    rows[0].push_back(unit + "_per_second");
  }
  rows[0].insert(rows[0].end(), values.begin(), values.end());
  for (const Measurement& measurement : measurements) {
    std::vector<std::string> row = {subject};
    for (const auto& [key, value] : facts.items()) row.push_back(plain(value));
    row.push_back(measurement.name);
    row.push_back(std::to_string(measurement.seconds.size()));
    row.push_back(strprintf("%.9g", measurement.median_seconds()));
    row.push_back(strprintf("%.9g", measurement.min_seconds()));
    for (const std::string& unit : units) {
      const double* amount = find_number(measurement.amounts, unit);
      row.push_back(amount ? strprintf("%.15g", *amount) : "");
      row.push_back(amount ? strprintf("%.6g", per_second(*amount, measurement)) : "");
    }
    for (const std::string& name : values) {
      const double* value = find_number(measurement.values, name);
      row.push_back(value ? strprintf("%.9g", *value) : "");
    }
    rows.push_back(std::move(row));
  }
  std::string out;
  for (auto& row : rows) {
    std::transform(row.begin(), row.end(), row.begin(), csv_field);
    out += join(row, ",") + "\n";
  }
  return out;
}

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(':');
    if (line.starts_with("model name") && colon != std::string::npos) {
      return std::string(trim(line.substr(colon + 1)));
    }
  }
  return "unknown";
}

}  // namespace

double Measurement::median_seconds() const {
  if (seconds.empty()) return 0;
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  return (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]) / 2;
}

double Measurement::min_seconds() const {
  return seconds.empty() ? 0 : *std::min_element(seconds.begin(), seconds.end());
}

double seconds_of(const std::function<void()>& repetition) {
  const auto start = Clock::now();
  repetition();
  return seconds_since(start);
}

std::vector<std::vector<double>> measure_in_turn(
    int warmup, int samples, std::span<const std::function<void()>> repetitions) {
  std::vector<std::vector<double>> seconds(repetitions.size());
  for (int round = -warmup; round < samples; ++round) {
    for (size_t i = 0; i < repetitions.size(); ++i) {
      const double taken = seconds_of(repetitions[i]);
      if (round >= 0) seconds[i].push_back(taken);
    }
  }
  return seconds;
}

std::vector<double> measure(int warmup, int samples, const std::function<void()>& repetition) {
  return measure_in_turn(warmup, samples, {&repetition, 1})[0];
}

BenchFormat parse_bench_format(std::string_view name) {
  if (name == "table") return BenchFormat::table;
  if (name == "json") return BenchFormat::json;
  if (name == "jsonl") return BenchFormat::jsonl;
  if (name == "markdown") return BenchFormat::markdown;
  if (name == "csv") return BenchFormat::csv;
  fail(ErrorKind::usage, "unknown output format '" + std::string(name) +
                             "': expected table, json, jsonl, markdown or csv");
}

std::string format_bench(const BenchResult& result, BenchFormat format) {
  const auto& [subject, facts, measurements] = result;
  if (format == BenchFormat::table) return table(facts, measurements);
  if (format == BenchFormat::markdown) return markdown(facts, measurements);
  if (format == BenchFormat::csv) return csv(subject, facts, measurements);
  if (format == BenchFormat::jsonl) {
    std::string out;
    for (const Measurement& measurement : measurements) {
      ordered_json row = {{"schema", "mythos.bench-row/1"}, {"subject", subject}, {"facts", facts}};
      row.update(row_json(measurement));
      out += json_text(row, -1);
    }
    return out;
  }
  ordered_json out = {{"schema", "mythos.bench/1"},
                      {"subject", subject},
                      {"facts", facts},
                      {"measurements", ordered_json::array()}};
  for (const Measurement& measurement : measurements) {
    out["measurements"].push_back(row_json(measurement));
  }
  return json_text(out);
}

ordered_json machine_facts() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return {{"version", version()}, {"cpu", cpu_model()}, {"cores", cores}};
}

// VmHWM, as the maximum of getrusage() is inherited from the program that called exec.
uint64_t peak_memory_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("VmHWM:")) continue;
    const std::string_view number = trim(std::string_view(line).substr(6));
    return static_cast<uint64_t>(parse_int(number.substr(0, number.find(' '))).value_or(0)) * 1024;
  }
  return 0;
}

// Writing 5 to clear_refs has the kernel count the maximum anew (proc(5)).
void reset_peak_memory() {
  std::ofstream("/proc/self/clear_refs") << '5';
}

}  // namespace mythos
