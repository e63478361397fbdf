#include "device/operator_profile.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include "base/clock.h"
#include "device/peaks.h"

namespace mythos {
namespace {

struct Total {
  double seconds = 0;
  int64_t calls = 0;
};

// Own times of the operators on all threads that LibTorch carries the callbacks to: the caller's,
// and the one that runs a device's backward passes.
class Recorder {
 public:
  // Forgets what was recorded before.
  void start(at::Device device) {
    const std::lock_guard lock(mutex_);
    device_ = device;
    running_.clear();
    totals_.clear();
  }

  std::map<std::string, Total> totals() {
    const std::lock_guard lock(mutex_);
    return totals_;
  }

  void begin() {
    const std::lock_guard lock(mutex_);
    running_[std::this_thread::get_id()].push_back({Clock::now()});
  }

  void end(const char* name) {
    synchronize(device());
    const std::lock_guard lock(mutex_);
    std::vector<Running>& running = running_[std::this_thread::get_id()];
    if (running.empty()) return;
    const Running ended = running.back();
    running.pop_back();
    const double seconds = seconds_since(ended.begin);
    Total& total = totals_[name];
    total.seconds += seconds - ended.inner_seconds;
    ++total.calls;
    if (!running.empty()) running.back().inner_seconds += seconds;
  }

 private:
  struct Running {
    Clock::time_point begin;
    double inner_seconds = 0;
  };

  at::Device device() {
    const std::lock_guard lock(mutex_);
    return device_;
  }

  std::mutex mutex_;
  at::Device device_ = at::kCPU;
  std::map<std::thread::id, std::vector<Running>> running_;
  std::map<std::string, Total> totals_;
};

// Callbacks of at::RecordFunction are plain functions; this is where they find their place.
Recorder recorder;

std::unique_ptr<at::ObserverContext> begin_operator(const at::RecordFunction&) {
  recorder.begin();
  return nullptr;
}

void end_operator(const at::RecordFunction& function, at::ObserverContext*) {
  recorder.end(function.name());
}

// Own times of one repetition by operator.
std::map<std::string, Total> record(at::Device device, const std::function<void()>& repetition) {
  recorder.start(device);
  const double all = seconds_of([&] {
    repetition();
    synchronize(device);
  });
  std::map<std::string, Total> totals = recorder.totals();
  double known = 0;
  for (const auto& [name, total] : totals) known += total.seconds;
  totals["(between operators)"] = {std::max(0.0, all - known), 1};
  return totals;
}

}  // namespace

std::vector<Measurement> profile_operators(at::Device device, int repeat,
                                           const std::function<void()>& repetition) {
  std::map<std::string, Measurement> rows;
  const at::CallbackHandle handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(begin_operator, end_operator)
          .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
  double all = 0;
  for (int i = 0; i < repeat; ++i) {
    for (const auto& [name, total] : record(device, repetition)) {
      Measurement& row = rows[name];
      row.seconds.push_back(total.seconds);
      row.values = {{"calls", static_cast<double>(total.calls)}};
      all += total.seconds;
    }
  }
  at::removeCallback(handle);
  std::vector<Measurement> sorted;
  for (auto& [name, row] : rows) {
    row.name = name;
    const double sum = std::accumulate(row.seconds.begin(), row.seconds.end(), 0.0);
    row.values.emplace_back("time_share", sum / all);
    sorted.push_back(std::move(row));
  }
  std::ranges::stable_sort(sorted, std::greater{}, &Measurement::median_seconds);
  return sorted;
}

}  // namespace mythos
