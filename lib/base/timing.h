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

// One measured thing: raw samples of the time that one repetition took, and what it worked through.
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
// The same for several things in turn, A B A B …, so that a machine whose speed drifts treats all
// alike. Returns the samples of each.
std::vector<std::vector<double>> measure_in_turn(
    int warmup, int samples, std::span<const std::function<void()>> repetitions);
double seconds_of(const std::function<void()>& repetition);

enum class BenchFormat { table, json, jsonl, markdown, csv };
// Of "table", "json", "jsonl", "markdown" or "csv".
BenchFormat parse_bench_format(std::string_view name);

// What one subject of "mythos bench" gives.
struct BenchResult {
  std::string subject;           // "tokenize"
  nlohmann::ordered_json facts;  // an object of strings and numbers: machine and settings
  std::vector<Measurement> measurements;
};

// What "mythos bench" prints, with a newline at the end: the facts, and for each measurement its
// median and minimum, each amount per second at the median, and its values. JSON has the raw
// samples too (mythos-bench(1): an object "mythos.bench/1", or one "mythos.bench-row/1" a line); in
// CSV and JSON lines every row carries the facts.
std::string format_bench(const BenchResult& result, BenchFormat format);

// {"version", "cpu": model, "cores": that this process may use}.
nlohmann::ordered_json machine_facts();

// Largest resident memory of this process so far, or since reset_peak_memory().
uint64_t peak_memory_bytes();
// Does nothing where the system does not allow it.
void reset_peak_memory();

}  // namespace mythos
