#include "kernels/operator_profile.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>

#include "kernels/peaks.h"

namespace mythos {
namespace {

using Clock = std::chrono::steady_clock;

struct Total {
  double seconds = 0;
  int64_t calls = 0;
};

// Callbacks of at::RecordFunction are plain functions; this is where they find their place.
struct Recorder {
  struct Running {
    Clock::time_point begin;
    double inner_seconds = 0;
  };
  std::optional<at::Device> device;
  std::vector<Running> running;
  std::map<std::string, Total> totals;
};
thread_local Recorder recorder;

std::unique_ptr<at::ObserverContext> begin_operator(const at::RecordFunction&) {
  recorder.running.push_back({Clock::now()});
  return nullptr;
}

void end_operator(const at::RecordFunction& function, at::ObserverContext*) {
  if (recorder.running.empty()) return;
  synchronize(*recorder.device);
  const Recorder::Running ended = recorder.running.back();
  recorder.running.pop_back();
  const double seconds = std::chrono::duration<double>(Clock::now() - ended.begin).count();
  Total& total = recorder.totals[function.name()];
  total.seconds += seconds - ended.inner_seconds;
  ++total.calls;
  if (!recorder.running.empty()) recorder.running.back().inner_seconds += seconds;
}

// Own times of one repetition by operator.
std::map<std::string, Total> record(at::Device device, const std::function<void()>& repetition) {
  recorder = {};
  recorder.device = device;
  const double all = seconds_of([&] {
    repetition();
    synchronize(device);
  });
  std::map<std::string, Total> totals = std::move(recorder.totals);
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
