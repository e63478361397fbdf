#include "stability/spectral.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "../device.h"

namespace mythos {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

ModelConfig config_of(Injection injection, int64_t dim) {
  ModelConfig config;
  config.injection = injection;
  config.dim = dim;
  return config;
}

// log_A that gives these entries of A with log_dt 0: A = exp(−exp(log_A)).
Weights lti_weights(const std::vector<double>& a, at::Device device) {
  std::vector<float> log_a;
  for (const double value : a) log_a.push_back(static_cast<float>(std::log(-std::log(value))));
  Weights weights;
  weights.core.injection.log_A = at::tensor(log_a).to(device);
  weights.core.injection.log_dt = at::zeros({1}).to(device);
  return weights;
}

using Spectral = DeviceTest;

TEST_P(Spectral, DiagonalOfKnownEntries) {
  const SpectralReport report =
      spectral_report(config_of(Injection::lti, 4), lti_weights({0.5, 0.905, 0.05, 0.55}, device_));
  EXPECT_TRUE(report.applicable);
  EXPECT_TRUE(report.diagonal);
  EXPECT_EQ(report.channels, 4);
  EXPECT_NEAR(report.radius, 0.905, 1e-6);
  EXPECT_NEAR(report.smallest, 0.05, 1e-6);
  EXPECT_NEAR(report.mean, 2.005 / 4, 1e-6);
  EXPECT_EQ(report.histogram, (std::array<int64_t, 10>{1, 0, 0, 0, 0, 2, 0, 0, 0, 1}));
  EXPECT_NEAR(report.longest_loops, -1 / std::log(0.905), 1e-3);
  EXPECT_NEAR(report.shortest_loops, -1 / std::log(0.05), 1e-3);
}

TEST_P(Spectral, LtiStaysStrictlyInsideTheUnitIntervalAtTheExtremes) {
  for (const float log_A : {-100.f, 0.f, 100.f}) {
    for (const float log_dt : {-100.f, 0.f, 100.f}) {
      Weights weights;
      weights.core.injection.log_A = at::full({3}, log_A).to(device_);
      weights.core.injection.log_dt = at::full({1}, log_dt).to(device_);
      const SpectralReport report = spectral_report(config_of(Injection::lti, 3), weights);
      EXPECT_LT(report.radius, 1) << log_A << " " << log_dt;
      EXPECT_GT(report.smallest, 0) << log_A << " " << log_dt;
      EXPECT_TRUE(std::isfinite(report.longest_loops)) << log_A << " " << log_dt;
    }
  }
}

TEST_P(Spectral, ZohStaysStrictlyInsideTheUnitIntervalAtTheExtremes) {
  for (const float log_a : {-100.f, 0.f, 100.f}) {
    for (const float dt_bias : {-100.f, 0.f, 100.f}) {
      Weights weights;
      weights.core.injection.log_a = at::full({3}, log_a).to(device_);
      weights.core.injection.dt_bias = at::full({3}, dt_bias).to(device_);
      const SpectralReport report = spectral_report(config_of(Injection::zoh, 3), weights);
      EXPECT_LT(report.radius, 1) << log_a << " " << dt_bias;
      EXPECT_GT(report.smallest, 0) << log_a << " " << dt_bias;
    }
  }
}

TEST_P(Spectral, RadiusOfARotationIsItsScale) {
  // Complex eigenvalues 0.9·exp(±iφ): no single direction grows, as power iteration would need.
  const float c = 0.9f * std::cos(1.f), s = 0.9f * std::sin(1.f);
  EXPECT_NEAR(spectral_radius(at::tensor({c, -s, s, c}).view({2, 2}).to(device_)), 0.9, 1e-5);
}

TEST_P(Spectral, RadiusOfAMatrixFarFromNormalIsNotItsNorm) {
  EXPECT_NEAR(spectral_radius(at::tensor({0.5f, 1000.f, 0.f, -0.7f}).view({2, 2}).to(device_)), 0.7,
              1e-4);
}

TEST_P(Spectral, RadiusAgreesWithTheEigenvalues) {
  const Tensor matrix = at::randn({24, 24}, at::make_generator<at::CPUGeneratorImpl>(4));
  const double want = at::linalg_eigvals(matrix).abs().max().item<double>();
  EXPECT_NEAR(spectral_radius(matrix.to(device_)), want, 1e-4 * want);
}

TEST_P(Spectral, RadiusOfNilpotentZeroAndBrokenMatrices) {
  EXPECT_EQ(spectral_radius(at::tensor({0.f, 5.f, 0.f, 0.f}).view({2, 2}).to(device_)), 0);
  EXPECT_EQ(spectral_radius(at::zeros({3, 3}).to(device_)), 0);
  EXPECT_TRUE(std::isnan(spectral_radius(at::full({2, 2}, kNan).to(device_))));
}

TEST_P(Spectral, LinearInjectionLooksAtTheStatesHalf) {
  Weights weights;
  weights.core.injection.weight = at::cat({1.25 * at::eye(4), 9 * at::eye(4)}, 1).to(device_);
  const SpectralReport report = spectral_report(config_of(Injection::linear, 4), weights);
  EXPECT_TRUE(report.applicable);
  EXPECT_FALSE(report.diagonal);
  EXPECT_NEAR(report.radius, 1.25, 1e-6);
}

TEST_P(Spectral, TheGateIsTheDiagonalAndStaysInside) {
  Weights weights;
  weights.core.injection.gate = at::tensor({-200.f, 0.f, 200.f}).to(device_);
  const SpectralReport report = spectral_report(config_of(Injection::gated, 3), weights);
  EXPECT_TRUE(report.diagonal);
  EXPECT_LT(report.radius, 1);
  EXPECT_GT(report.smallest, 0);
  EXPECT_NEAR(report.mean, 0.5, 1e-6);
}

TEST_P(Spectral, AddAndNoneHaveNothingToBound) {
  EXPECT_FALSE(spectral_report(config_of(Injection::add, 4), {}).applicable);
  EXPECT_FALSE(spectral_report(config_of(Injection::none, 4), {}).applicable);
}

TEST_P(Spectral, InitialInjectionEqualsThatOfAnInitialisedModel) {
  for (const Injection injection :
       {Injection::lti, Injection::zoh, Injection::linear, Injection::gated}) {
    ModelConfig config = config_of(injection, 64);
    config.vocab_size = 16;
    Model model(config, device_);
    model.parameters.initialize(config, 1);
    const SpectralReport want =
        spectral_report(config, make_weights(config, model.parameters, at::kFloat));
    const SpectralReport got = spectral_report(config, initial_injection_weights(config));
    EXPECT_NEAR(got.radius, want.radius, 1e-7) << enum_name(injection);
    EXPECT_EQ(got.histogram, want.histogram) << enum_name(injection);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Spectral, testing::ValuesIn(test_devices()), device_name);

}  // namespace
}  // namespace mythos
