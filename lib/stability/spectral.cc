#include "stability/spectral.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "model/injection.h"

namespace mythos {
namespace {

double time_constant(double a) {
  if (a <= 0) return 0;
  return a >= 1 ? std::numeric_limits<double>::infinity() : -1 / std::log(a);
}

void describe_diagonal(const Tensor& diagonal, SpectralReport& report) {
  const Tensor on_cpu = diagonal.detach().to(at::kCPU, at::kDouble).contiguous();
  const double* data = on_cpu.data_ptr<double>();
  std::vector<double> a(data, data + on_cpu.numel());
  report.diagonal = true;
  report.channels = static_cast<int64_t>(a.size());
  const bool finite = std::all_of(a.begin(), a.end(), [](double x) { return std::isfinite(x); });
  if (!finite) {
    report.radius = report.smallest = report.mean = std::numeric_limits<double>::quiet_NaN();
    return;
  }
  std::sort(a.begin(), a.end());
  report.smallest = a.front();
  for (const double value : a) {
    report.radius = std::max(report.radius, std::abs(value));
    report.mean += value / static_cast<double>(a.size());
    ++report.histogram[static_cast<size_t>(std::clamp(std::floor(value * 10), 0.0, 9.0))];
  }
  report.shortest_loops = time_constant(a.front());
  report.median_loops = time_constant(a[a.size() / 2]);
  report.longest_loops = time_constant(a.back());
}

}  // namespace

double spectral_radius(const Tensor& matrix) {
  constexpr int kSquarings = 24;
  Tensor power = matrix.detach().to(at::kDouble);
  double log_norm = 0;  // `power` is the matrix's power divided by exp(log_norm)
  double exponent = 1;
  for (int i = 0;; ++i) {
    const double norm = at::linalg_vector_norm(power).item<double>();
    if (!std::isfinite(norm)) return std::numeric_limits<double>::quiet_NaN();
    if (norm == 0) return 0;
    log_norm += std::log(norm);
    if (i == kSquarings) return std::exp(log_norm / exponent);
    power = power / norm;
    power = at::matmul(power, power);
    log_norm *= 2;
    exponent *= 2;
  }
}

SpectralReport spectral_report(const ModelConfig& config, const Weights& weights) {
  SpectralReport report;
  report.injection = config.injection;
  const Transition A = transition(config, weights.core.injection);
  report.applicable = A.matrix.defined() || A.diagonal.defined();
  if (A.diagonal.defined()) describe_diagonal(A.diagonal, report);
  if (A.matrix.defined()) {
    report.channels = config.dim;
    report.radius = spectral_radius(A.matrix);
  }
  return report;
}

Weights initial_injection_weights(const ModelConfig& config) {
  Weights weights;
  using Injected = InjectionTensors<Tensor, Matrix>;
  Injected::visit(weights.core.injection, config, [&](Tensor& member, const TensorDeclaration& d) {
    if (d.init == Init::identity_tail) {
      // The report looks only at the state's columns, which are 0, so one number stands for all.
      member = at::zeros({1, 1}).expand(d.shape);
    } else {
      member = at::empty(d.shape);
      set_initial_value(d, config, 0, 0, member);
    }
  });
  return weights;
}

}  // namespace mythos
