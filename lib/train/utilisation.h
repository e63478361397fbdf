#pragma once
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/config.h"

namespace mythos {

// The share of the devices' peak that the model's own FLOPs reach (MFU; Chowdhery et al. 2022,
// PaLM, appendix B): those of training_flops() (arch/plan.h) at the loops that were run, without
// what is computed again to save memory.
class Utilisation {
 public:
  // `peak` in FLOP/s of one device, of which there are `devices`; nothing: unknown. The
  // configuration must outlive it.
  Utilisation(const Config& config, std::optional<double> peak, int64_t devices);

  // Counts sequences of a step that ran so many loops each.
  void add(std::span<const int64_t> loops);
  // The share since the last call, which was `seconds` ago; nothing where the peak is unknown.
  std::optional<double> take(double seconds);

 private:
  const Config& config_;
  std::optional<double> peak_;       // of all devices
  std::map<int64_t, double> flops_;  // of a sequence by its loops
  double sum_ = 0;
};

// train.peak_tflops, or else the peak of the data sheet where the device is a GPU that gpus()
// (arch/cluster.h) knows by this name of its driver, and computes in bf16 or fp16.
std::optional<double> device_peak(const TrainConfig& config, at::Device device,
                                  at::ScalarType compute_type,
                                  const std::vector<std::string>& names);
// With the names of this machine's devices.
std::optional<double> device_peak(const TrainConfig& config, at::Device device,
                                  at::ScalarType compute_type);

}  // namespace mythos
