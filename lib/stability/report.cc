#include "stability/report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace mythos {
namespace {

constexpr int kBarColumns = 20;

// Draws a bar of `value` out of `full`, in eighths of a character.
std::string bar(double value, double full) {
  constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  if (!std::isfinite(value) || !std::isfinite(full) || full <= 0 || value <= 0) return {};
  const auto eighths = static_cast<int>(std::lround(value / full * kBarColumns * 8));
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) out += "█";
  return out + kEighths[eighths % 8];
}

std::string cell(double value, Format<FormatKind::real> format, int width) {
  return strprintf("%*s", width, std::isnan(value) ? "-" : strprintf(format, value));
}

std::string injection_name(Injection injection) {
  return std::string(enum_name(injection));
}

std::string weights_text(const std::optional<NonFinite>& weights) {
  constexpr size_t kLines = 16;
  if (!weights) return {};
  if (weights->none()) return "weights    all finite\n";
  std::string out = strprintf("weights    %s not finite\n", with_commas(weights->count()));
  for (const NonFiniteTensor& tensor : weights->tensors) {
    if (&tensor - weights->tensors.data() == kLines) {
      return out + strprintf("  and in %u more tensors\n", weights->tensors.size() - kLines);
    }
    out += strprintf("  %s: %s, the first %g at %s\n", shown(tensor.name),
                     with_commas(tensor.count), tensor.value, shape_text(tensor.index));
  }
  return out;
}

std::string spectral_text(const SpectralReport& s, bool bars) {
  if (!s.applicable) {
    return "injection  " + injection_name(s.injection) +
           ": no linear part to bound, ρ(A) does not apply\n";
  }
  std::string out =
      strprintf("injection  %s: ρ(A) = %s", injection_name(s.injection), format_radius(s.radius));
  if (!s.diagonal || std::isnan(s.radius)) {
    return out + strprintf(" of the state's %s × %s part\n", with_commas(s.channels),
                           with_commas(s.channels));
  }
  out += strprintf(", smallest A %.3g, mean %.3g, %s channels\n", s.smallest, s.mean,
                   with_commas(s.channels));
  out += strprintf("memory     %.3g to %.3g loops, median %.3g (time constants -1/ln A)\n\n",
                   s.shortest_loops, s.longest_loops, s.median_loops);
  const int64_t most = *std::max_element(s.histogram.begin(), s.histogram.end());
  for (size_t i = 0; i < s.histogram.size(); ++i) {
    const std::string graph =
        bars ? "  " + bar(static_cast<double>(s.histogram[i]), static_cast<double>(most)) : "";
    out += strprintf("  A %.1f-%.1f %8s", static_cast<double>(i) / 10,
                     static_cast<double>(i + 1) / 10, with_commas(s.histogram[i])) +
           graph + "\n";
  }
  return out;
}

std::string dynamics_text(const StabilityReport& report) {
  const DynamicsReport& d = report.dynamics;
  if (d.loops.empty()) return {};
  std::string out = strprintf(
      "\nstate over %u loops on %s tokens of %s; norms are RMS per channel, * is max_loop_iters\n",
      d.loops.size(), with_commas(d.tokens), report.probe);
  out += "  loop  mean |h|   max |h|  mean |Δh|  max |Δh|  |Δh|/|h|  contraction  cosine\n";
  for (const LoopStatistics& loop : d.loops) {
    const bool trained = loop.loop == report.config.max_loop_iters;
    out += strprintf("%6d%s", loop.loop, trained ? "*" : " ");
    out += cell(loop.state_mean, "%.4g", 9) + cell(loop.state_max, "%.4g", 10);
    out += cell(loop.change_mean, "%.3g", 11) + cell(loop.change_max, "%.3g", 10);
    out += cell(loop.relative_change, "%.3g", 10) + cell(loop.contraction, "%.3f", 13);
    out += cell(loop.cosine, "%.4f", 8);
    out += "\n";
  }
  return out;
}

nlohmann::json weights_json(const std::optional<NonFinite>& weights) {
  if (!weights) return nullptr;
  nlohmann::json tensors = nlohmann::json::array();
  for (const NonFiniteTensor& tensor : weights->tensors) {
    tensors.push_back({{"tensor", tensor.name},
                       {"count", tensor.count},
                       {"first_index", tensor.index},
                       {"first_value", strprintf("%g", tensor.value)}});
  }
  return {{"finite", weights->none()}, {"nonfinite", std::move(tensors)}};
}

nlohmann::json spectral_json(const SpectralReport& s) {
  nlohmann::json json = {{"injection", injection_name(s.injection)}, {"applicable", s.applicable}};
  if (!s.applicable) return json;
  json["rho"] = s.radius;
  json["channels"] = s.channels;
  if (!s.diagonal) return json;
  json["smallest"] = s.smallest;
  json["mean"] = s.mean;
  json["histogram"] = s.histogram;
  json["time_constant_loops"] = {
      {"shortest", s.shortest_loops}, {"median", s.median_loops}, {"longest", s.longest_loops}};
  return json;
}

nlohmann::json dynamics_json(const StabilityReport& report) {
  const DynamicsReport& d = report.dynamics;
  if (d.loops.empty()) return nullptr;
  nlohmann::json loops = nlohmann::json::array();
  for (const LoopStatistics& loop : d.loops) {
    loops.push_back({{"loop", loop.loop},
                     {"state_mean", loop.state_mean},
                     {"state_max", loop.state_max},
                     {"change_mean", loop.change_mean},
                     {"change_max", loop.change_max},
                     {"relative_change", loop.relative_change},
                     {"contraction", loop.contraction},
                     {"cosine", loop.cosine},
                     {"finite", loop.finite}});
  }
  return {{"probe", report.probe},
          {"tokens", d.tokens},
          {"reference_loop", d.reference_loop},
          {"growth", d.growth},
          {"first_nonfinite_loop",
           d.first_nonfinite_loop ? nlohmann::json(d.first_nonfinite_loop) : nlohmann::json()},
          {"output_finite", d.output_finite},
          {"loops", std::move(loops)}};
}

}  // namespace

std::string to_text(const StabilityReport& report, bool bars) {
  return "model      " + shown(report.subject) + "\n" + weights_text(report.weights) +
         spectral_text(report.spectral, bars) + dynamics_text(report) + "\n" + report.verdict.line +
         "\n";
}

nlohmann::json to_json(const StabilityReport& report) {
  return {{"schema", "mythos.stability/1"},
          {"subject", report.subject},
          {"max_loop_iters", report.config.max_loop_iters},
          {"stable", report.verdict.stable()},
          {"verdict", report.verdict.line},
          {"failures", report.verdict.failures},
          {"thresholds",
           {{"max_rho", report.thresholds.max_rho},
            {"max_growth", report.thresholds.max_growth},
            {"max_state", report.thresholds.max_state}}},
          {"weights", weights_json(report.weights)},
          {"static", spectral_json(report.spectral)},
          {"dynamic", dynamics_json(report)}};
}

}  // namespace mythos
