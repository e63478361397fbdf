#pragma once
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mythos {

// What was measured of one job: the time that each repetition took, and the amounts that a
// repetition worked through.
struct Measurement {
  std::string name;             // "encode", "shuffled, prefetch"
  std::vector<double> seconds;  // in the order taken
  // Amounts of one repetition with their units: {"tokens", 297606}, {"bytes", 1115394}. Bytes are
  // shown as MB (10^6).
  std::vector<std::pair<std::string, double>> amounts;
  // Further numbers: {"loops", 8}, {"memory_bytes", 1e9}, {"gemm_share", 0.6}. A share is
  // shown in percent.
  std::vector<std::pair<std::string, double>> values{};

  double median_seconds() const;
  double min_seconds() const;
};

// Runs `repetition` `warmup` times unmeasured, then `samples` times.
std::vector<double> measure(int warmup, int samples, const std::function<void()>& repetition);
// Measures several jobs in turn, A B A B …, so that a machine whose speed drifts treats all alike.
// Returns the samples of each job.
std::vector<std::vector<double>> measure_in_turn(
    int warmup, int samples, std::span<const std::function<void()>> repetitions);
double seconds_of(const std::function<void()>& repetition);

enum class BenchFormat { table, json, jsonl, markdown, csv };
// Reads a format's name: "table", "json", "jsonl", "markdown" or "csv". Fails (usage) for any
// other.
BenchFormat parse_bench_format(std::string_view name);

// The result of one subject of "mythos bench".
struct BenchResult {
  std::string subject;           // "tokenize"
  nlohmann::ordered_json facts;  // an object of strings and numbers: machine and settings
  std::vector<Measurement> measurements;
};

// The output of "mythos bench", with a newline at the end: the facts, and for each measurement its
// median and minimum, each amount per second at the median, and its values. JSON has the raw
// samples too (mythos-bench(1): one object "mythos.bench/1", or an object "mythos.bench-row/1" on
// each line); in CSV and JSON lines every row carries the facts.
std::string format_bench(const BenchResult& result, BenchFormat format);

// {"version", "cpu": model, "cores": that this process may use}.
nlohmann::ordered_json machine_facts();

// The largest resident memory of this process, in bytes, so far or since reset_peak_memory().
uint64_t peak_memory_bytes();
// Starts the count of peak_memory_bytes() anew; does nothing if the system does not allow it.
void reset_peak_memory();

}  // namespace mythos
