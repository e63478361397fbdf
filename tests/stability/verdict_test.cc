#include "stability/verdict.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/memory.h"
#include "stability/report.h"

namespace mythos {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

SpectralReport spectral_of(double radius) {
  SpectralReport report;
  report.injection = Injection::lti;
  report.applicable = true;
  report.diagonal = true;
  report.channels = 8;
  report.radius = radius;
  report.histogram[3] = 8;
  return report;
}

DynamicsReport dynamics_of(double from, double to) {
  DynamicsReport report;
  report.tokens = 16;
  report.reference_loop = 1;
  report.growth = to / from;
  report.loops = {{.loop = 1, .state_mean = from, .state_max = from, .contraction = kNan},
                  {.loop = 2, .state_mean = to, .state_max = to, .contraction = 0.5}};
  return report;
}

std::string line(const SpectralReport& spectral, const DynamicsReport& dynamics,
                 StabilityThresholds thresholds = {}) {
  return judge(spectral, &dynamics, thresholds).line;
}

TEST(Verdict, StableSaysWhatWasFound) {
  EXPECT_EQ(line(spectral_of(0.912), dynamics_of(1.2, 1.3)),
            "stable: ρ(A) = 0.912 < 1; state norm 1.2 → 1.3 from loop 1 to 2");
}

TEST(Verdict, AStateThatGrowsWithinTheLimitIsToldOf) {
  EXPECT_EQ(line(spectral_of(0.5), dynamics_of(1, 2)),
            "stable: ρ(A) = 0.5 < 1; state norm 1 → 2 from loop 1 to 2, still growing");
}

TEST(Verdict, RadiusAtTheLimitFails) {
  EXPECT_EQ(line(spectral_of(1), dynamics_of(1, 1)),
            "unstable: ρ(A) = 1 is not below 1 (--max-rho)");
  EXPECT_EQ(line(spectral_of(0.95), dynamics_of(1, 1), {.max_rho = 0.9}),
            "unstable: ρ(A) = 0.95 is not below 0.9 (--max-rho)");
  EXPECT_NE(line(spectral_of(kNan), dynamics_of(1, 1)).find("unstable"), std::string::npos);
}

TEST(Verdict, GrowthBeyondTheLimitFails) {
  EXPECT_EQ(line(spectral_of(0.5), dynamics_of(1, 12)),
            "unstable: the state grows 12-fold from loop 1 to 2, more than 10 (--max-growth)");
  EXPECT_EQ(line(spectral_of(0.5), dynamics_of(1, 10)).find("stable"), 0u);
}

TEST(Verdict, AHugeStateFailsWhetherItGrowsOrNot) {
  EXPECT_EQ(line(spectral_of(0.5), dynamics_of(1e27, 1e27)),
            "unstable: the state's norm is 1e+27 after loop 1, more than 65536 (--max-state): what "
            "fp32 adds to it is lost");
  EXPECT_NE(line(spectral_of(0.5), dynamics_of(1e12, 3e12)).find("3e+12 after loop 2"),
            std::string::npos);
  EXPECT_EQ(line(spectral_of(0.5), dynamics_of(65536, 65536)).find("stable"), 0u);
  EXPECT_EQ(line(spectral_of(0.5), dynamics_of(200, 200), {.max_state = 100}).find("unstable"), 0u);
}

TEST(Verdict, AnOutputThatIsNotFiniteFails) {
  DynamicsReport dynamics = dynamics_of(1, 1);
  dynamics.output_finite = false;
  EXPECT_EQ(line(spectral_of(0.5), dynamics),
            "unstable: the output of the coda is not finite, though the state is");
}

NonFinite broken_norm() {
  return {{{"norm.weight", 2, {5}, kNan}, {"embed.weight", 1, {3, 4}, kNan}}};
}

TEST(Verdict, WeightsThatAreNotFiniteFailWithTensorAndIndex) {
  const DynamicsReport dynamics = dynamics_of(1, 1);
  EXPECT_EQ(judge(spectral_of(0.5), &dynamics, {}, broken_norm()).line,
            "unstable: 3 values in 2 tensors are not finite (2 in 'norm.weight', 1 in "
            "'embed.weight'), the first nan in 'norm.weight' at [5]");
}

TEST(Verdict, EveryFailureIsNamed) {
  EXPECT_EQ(judge(spectral_of(1.5), nullptr, {}).failures.size(), 1u);
  const DynamicsReport growing = dynamics_of(1, 100);
  EXPECT_EQ(judge(spectral_of(1.5), &growing, {}).failures.size(), 2u);
}

TEST(Verdict, StaticPartAloneSaysSo) {
  EXPECT_EQ(judge(spectral_of(0.5), nullptr, {}).line,
            "stable: ρ(A) = 0.5 < 1; the dynamics were not measured");
}

TEST(Verdict, ARadiusJustBelowOneDoesNotReadAsOne) {
  EXPECT_EQ(format_radius(1 - 6e-8), "1 − 6.0e-08");
  EXPECT_EQ(format_radius(1 + 1e-5), "1 + 1.0e-05");
  EXPECT_EQ(format_radius(0.9), "0.9");
}

TEST(Verdict, ThresholdsOutOfRangeNameKeyAndValue) {
  const auto message = [](const StabilityThresholds& thresholds) -> std::string {
    try {
      thresholds.validate();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message({}), "");
  EXPECT_EQ(message({.max_rho = 0}), "max-rho is 0; allowed: more than 0");
  EXPECT_EQ(message({.max_growth = -1}), "max-growth is -1; allowed: more than 0");
  EXPECT_EQ(message({.max_state = 0}), "max-state is 0; allowed: more than 0");
}

StabilityReport full_report() {
  StabilityReport report;
  report.subject = "runs/x";
  report.config.max_loop_iters = 1;
  report.probe = "random ids";
  report.spectral = spectral_of(0.5);
  report.dynamics = dynamics_of(1, 2);
  report.verdict = judge(report.spectral, &report.dynamics, report.thresholds);
  return report;
}

TEST(StabilityReport, JsonHoldsBothPartsAndTheVerdict) {
  const nlohmann::json json = to_json(full_report());
  EXPECT_EQ(json["schema"], "mythos.stability/1");
  EXPECT_EQ(json["stable"], true);
  EXPECT_EQ(json["static"]["rho"], 0.5);
  EXPECT_EQ(json["dynamic"]["growth"], 2);
  EXPECT_EQ(json["dynamic"]["loops"].size(), 2u);
  // Not a number has no JSON form.
  EXPECT_NE(json.dump().find("\"contraction\":null"), std::string::npos);
}

TEST(StabilityReport, CountsWeightsThatAreNotFiniteByTensor) {
  StabilityReport report = full_report();
  EXPECT_TRUE(to_json(report)["weights"].is_null());
  report.weights.emplace();
  EXPECT_EQ(to_json(report)["weights"].dump(), R"({"finite":true,"nonfinite":[]})");
  EXPECT_NE(to_text(report, false).find("\nweights    all finite\n"), std::string::npos);
  report.weights = broken_norm();
  EXPECT_EQ(to_json(report)["weights"]["nonfinite"][1].dump(),
            R"({"count":1,"first_index":[3,4],"first_value":"nan","tensor":"embed.weight"})");
  EXPECT_NE(to_text(report, false)
                .find("\nweights    3 not finite\n  norm.weight: 2, the first nan at [5]\n"
                      "  embed.weight: 1, the first nan at [3,4]\n"),
            std::string::npos);
}

TEST(StabilityReport, TextHasALinePerLoopAndEndsWithTheVerdict) {
  const StabilityReport report = full_report();
  const std::string text = to_text(report, false);
  EXPECT_NE(text.find("\n     2         2         2"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("\n" + report.verdict.line + "\n"));
  EXPECT_EQ(text.find("█"), std::string::npos);
  EXPECT_NE(to_text(report, true).find("█"), std::string::npos);
}

TEST(AvailableMemory, IsPlausible) {
  EXPECT_GT(available_memory_bytes(), 1 << 20);
  EXPECT_LT(available_memory_bytes(), 1e15);
}

}  // namespace
}  // namespace mythos
