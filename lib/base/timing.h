#pragma once
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace mythos {

// One measured thing: raw samples of the time that one repetition took, and what it worked through.
struct Measurement {
  std::string name;             // "encode", "shuffled, S=256"
  std::vector<double> seconds;  // in the order taken
  // Amounts of one repetition with their units: {"tokens", 297606}, {"bytes", 1115394}.
  std::vector<std::pair<std::string, double>> amounts;

  double median_seconds() const;
  double min_seconds() const;
};

// Runs `repetition` `warmup` times unmeasured, then `samples` times.
std::vector<double> measure(int warmup, int samples, const std::function<void()>& repetition);

enum class BenchFormat { table, json, jsonl, markdown, csv };

// What "mythos bench" prints: for each measurement its median and minimum, and each amount per
// second at the median; `facts` describe machine and settings. JSON has the raw samples too
// (schema "mythos.bench/1").
std::string format_measurements(const std::string& subject, const nlohmann::ordered_json& facts,
                                const std::vector<Measurement>& measurements, BenchFormat format);

// Largest resident memory of this process so far.
uint64_t peak_memory_bytes();

}  // namespace mythos
