#include "device/peaks.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>

#include "base/strings.h"

namespace mythos {
namespace {

using at::Tensor;

// Large enough for full speed, small enough that a sample takes some tens of milliseconds.
int64_t gemm_size(at::Device device) {
  if (device.is_cuda()) return 8192;
  return at::get_num_threads() <= 4 ? 1024 : 2048;
}
// Beyond the last cache of any CPU at hand, and of a GPU.
int64_t copy_bytes(at::Device device) {
  return int64_t{device.is_cuda() ? 1024 : 128} << 20;
}

// a bᵀ by oneDNN, which on some CPUs is much faster than the library behind at::mm. Empty where
// LibTorch lacks it.
std::function<void(const Tensor&, const Tensor&)> onednn_product() {
  using Signature =
      Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, std::string_view,
             c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
  const auto found = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
  if (!found) return {};
  const auto handle = found->typed<Signature>();
  return [handle](const Tensor& a, const Tensor& b) {
    handle.call(a, b, std::nullopt, "none", c10::List<std::optional<at::Scalar>>(), "");
  };
}

// A matrix of random numbers, alike in every sample. On constants a GPU needs less power and clocks
// higher than on any real product.
Tensor random_matrix(int64_t n, const at::TensorOptions& options) {
  at::Generator numbers = at::globalContext().defaultGenerator(options.device()).clone();
  numbers.set_current_seed(1);
  return at::empty({n, n}, options).normal_(0, 1, numbers);
}

double best_rate(const Measurement& measurement) {
  if (measurement.seconds.empty()) return 0;
  return measurement.amounts[0].second / std::max(measurement.min_seconds(), 1e-12);
}

}  // namespace

void synchronize(at::Device device) {
  if (device.is_cuda()) {
    c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
  }
}

Peaks::Peaks(at::Device device, at::ScalarType dtype) : device_(device), dtype_(dtype) {
  const auto n = static_cast<double>(gemm_size(device));
  Measurement gemm{strprintf("GEMM [%g,%g]", n, n), {}, {{"flops", 2 * n * n * n}}};
  gemms_.push_back(gemm);
  gemm.name += ", oneDNN";
  if (device.is_cpu() && onednn_product()) gemms_.push_back(gemm);
  copy_.name = "copy of " + human_bytes(static_cast<double>(copy_bytes(device)));
  copy_.amounts = {{"bytes", 2.0 * static_cast<double>(copy_bytes(device))}};
}

// The buffers live only as long as the samples take, so that they are not part of the memory that
// is measured around them.
void Peaks::sample(int repeat) {
  const c10::InferenceMode guard;
  const auto time = [&](Measurement& measurement, const std::function<void()>& job) {
    const std::vector<double> taken = measure(1, repeat, [&] {
      job();
      synchronize(device_);
    });
    measurement.seconds.insert(measurement.seconds.end(), taken.begin(), taken.end());
  };
  {
    const int64_t n = gemm_size(device_);
    const auto options = at::dtype(dtype_).device(device_);
    const Tensor a = random_matrix(n, options), b = random_matrix(n, options);
    time(gemms_[0], [&] { at::mm(a, b.t()); });
    if (gemms_.size() > 1) {
      const auto product = onednn_product();
      time(gemms_[1], [&] { product(a, b); });
    }
  }
  const auto options = at::dtype(at::kFloat).device(device_);
  const Tensor from = at::zeros({copy_bytes(device_) / 4}, options);
  Tensor to = at::empty_like(from);
  time(copy_, [&] { to.copy_(from); });
}

std::vector<Measurement> Peaks::measurements() const {
  std::vector<Measurement> all = gemms_;
  all.push_back(copy_);
  return all;
}

double Peaks::flops_per_second() const {
  double best = 0;
  for (const Measurement& gemm : gemms_) best = std::max(best, best_rate(gemm));
  return best;
}

double Peaks::bytes_per_second() const {
  return best_rate(copy_);
}

}  // namespace mythos
