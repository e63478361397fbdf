#include "model/bench_model.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <malloc.h>

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"
#include "base/strings.h"
#include "device/device.h"
#include "device/operator_profile.h"
#include "device/tensor_memory.h"

namespace mythos {
namespace {

constexpr int64_t kMostLoops = 1 << 20;
// Before each row and after the last.
constexpr int kPeakSamples = 2;

std::string dtype_name(at::ScalarType dtype, at::Device device) {
  const bool tf32 = dtype == at::kFloat && device.is_cuda();
  return tf32 && at::globalContext().allowTF32CuBLAS() ? "tf32" : compute_type_name(dtype);
}

void check_loops(const ModelBench& options) {
  for (const int64_t loops : options.loops) {
    if (loops <= kMostLoops) continue;
    fail(ErrorKind::usage, strprintf("--loops %d: allowed are 1 to %d", loops, kMostLoops));
  }
  if (options.profile && options.loops.size() != 1) {
    fail(ErrorKind::usage, "--profile measures one loop count; give one with --loops");
  }
}

}  // namespace

ModelBenchRun::ModelBenchRun(const std::string& subject, const Model& model,
                             const ModelBench& options)
    : options_(options),
      device_(model.parameters.device()),
      peaks_(device_, options.compute_type),
      result_{subject, machine_facts(), {}} {
  if (options_.loops.empty()) options_.loops = {model.config.max_loop_iters};
  check_loops(options_);
  const Plan plan = make_plan(model.config, 0, 1);
  result_.facts.update({{"model", options.label},
                        {"parameters", plan.parameters},
                        {"active_parameters", plan.active_parameters},
                        {"device", device_.str()},
                        {"threads", at::get_num_threads()},
                        {"dtype", dtype_name(options.compute_type, device_)}});
}

uint64_t ModelBenchRun::take_peak_memory() {
  uint64_t bytes = 0;
  if (device_.is_cuda()) {
    const auto statistics = at::accelerator::getDeviceStats(device_.index());
    bytes = static_cast<uint64_t>(statistics.allocated_bytes[0].peak);
    at::accelerator::resetPeakStats(device_.index());
  } else {
    bytes = peak_memory_bytes();
    malloc_trim(0);  // what one row has freed is not the next one's
    reset_peak_memory();
  }
  return bytes;
}

void ModelBenchRun::sample_peaks() {
  // What was done before this belongs to the model, the peaks' own buffers do not.
  peak_memory_bytes_ = std::max(peak_memory_bytes_, take_peak_memory());
  peaks_.sample(kPeakSamples);
  take_peak_memory();
}

std::vector<double> ModelBenchRun::seconds_of_each(const std::function<void()>& repetition) const {
  return measure(options_.warmup, options_.repeat, [&] {
    repetition();
    synchronize(device_);
  });
}

void ModelBenchRun::measure_row(int64_t loops, const ModelWork& work,
                                const std::function<void()>& repetition) {
  if (options_.profile) {
    measure(options_.warmup, 1, repetition);
    result_.measurements = profile_operators(device_, options_.repeat, repetition);
    peak_memory_bytes_ = take_peak_memory();
    return;
  }
  sample_peaks();
  take_most_tensor_bytes();
  Measurement row;
  row.name = result_.subject;
  row.seconds = seconds_of_each(repetition);
  const uint64_t memory = take_peak_memory();
  peak_memory_bytes_ = std::max(peak_memory_bytes_, memory);
  row.amounts = {{"tokens", work.tokens}, {"flops", work.flops}};
  if (work.bytes > 0) row.amounts.emplace_back("bytes", work.bytes);
  row.values = {{"loops", static_cast<double>(loops)},
                {"memory_bytes", static_cast<double>(memory)}};
  if (options_.counts_tensors) {
    row.values.emplace_back("tensor_bytes", static_cast<double>(take_most_tensor_bytes()));
  }
  result_.measurements.push_back(std::move(row));
}

void ModelBenchRun::measure_part(const std::string& name, const std::function<void()>& repetition) {
  synchronize(device_);
  Measurement part;
  part.seconds = seconds_of_each(repetition);
  Measurement& row = result_.measurements.back();
  row.values.emplace_back(name, part.median_seconds() / row.median_seconds());
}

BenchResult ModelBenchRun::finish() {
  if (!options_.profile) {
    sample_peaks();
    for (Measurement& row : result_.measurements) {
      for (const auto& [unit, amount] : row.amounts) {
        const double rate = amount / std::max(row.min_seconds(), 1e-12);
        if (unit == "flops") {
          row.values.emplace_back("gemm_share", rate / peaks_.flops_per_second());
        }
        if (unit == "bytes") {
          row.values.emplace_back("copy_share", rate / peaks_.bytes_per_second());
        }
      }
    }
    for (Measurement& row : peaks_.measurements()) result_.measurements.push_back(std::move(row));
  }
  result_.facts["peak_memory_bytes"] = peak_memory_bytes_;
  return std::move(result_);
}

std::vector<uint32_t> random_ids(int64_t count, int64_t vocab_size, uint64_t seed) {
  Rng rng(seed);
  std::vector<uint32_t> ids(static_cast<size_t>(count));
  for (uint32_t& id : ids) {
    id = static_cast<uint32_t>(rng.below(static_cast<uint64_t>(vocab_size)));
  }
  return ids;
}

}  // namespace mythos
