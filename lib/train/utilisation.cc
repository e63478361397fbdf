#include "train/utilisation.h"

#include <algorithm>
#include <utility>

#include "arch/cluster.h"
#include "arch/plan.h"
#include "device/device.h"

namespace mythos {
namespace {

// How drivers name the GPUs of gpus(): the first that the name contains.
constexpr std::pair<std::string_view, const char*> kDriverNames[] = {
    {"H200", "h200-141g"}, {"H100", "h100-80g"}, {"A100", "a100-80g"},
    {"B200", "b200-180g"}, {"L40S", "l40s-48g"}, {"RTX 4090", "rtx4090-24g"},
};
// Names that contain one of those and are other GPUs.
constexpr std::string_view kOthers[] = {"GH200", "GB200",  "PCIe",   "PCIE",
                                        "NVL",   "4090 D", "Laptop", "MIG"};

}  // namespace

Utilisation::Utilisation(const Config& config, std::optional<double> peak, int64_t devices)
    : config_(config), peak_(peak) {
  if (peak_) *peak_ *= static_cast<double>(devices);
}

void Utilisation::add(std::span<const int64_t> loops) {
  if (!peak_) return;
  for (const int64_t count : loops) {
    const auto [entry, added] = flops_.try_emplace(count, 0);
    if (added) {
      const int64_t length = config_.train.seq_len;
      entry->second = training_flops(config_, count, length) * static_cast<double>(length);
    }
    sum_ += entry->second;
  }
}

std::optional<double> Utilisation::take(double seconds) {
  const double flops = std::exchange(sum_, 0);
  if (!peak_) return {};
  return flops / (seconds * *peak_);
}

std::optional<double> device_peak(const TrainConfig& config, at::Device device,
                                  at::ScalarType compute_type,
                                  const std::vector<std::string>& names) {
  if (config.peak_tflops > 0) return config.peak_tflops * 1e12;
  const bool narrow = compute_type == at::kBFloat16 || compute_type == at::kHalf;
  const auto index = static_cast<size_t>(std::max<int>(0, device.index()));
  if (!device.is_cuda() || !narrow || index >= names.size()) return {};
  const std::string& name = names[index];
  const auto in_name = [&](std::string_view part) { return name.find(part) != std::string::npos; };
  if (std::ranges::any_of(kOthers, in_name)) return {};
  for (const auto& [part, gpu] : kDriverNames) {
    if (in_name(part)) return gpu_named(gpu).flops;
  }
  return {};
}

std::optional<double> device_peak(const TrainConfig& config, at::Device device,
                                  at::ScalarType compute_type) {
  return device_peak(config, device, compute_type,
                     device.is_cuda() ? read_cuda_names(kCudaDriver) : std::vector<std::string>());
}

}  // namespace mythos
