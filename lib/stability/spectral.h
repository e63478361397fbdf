#pragma once
#include <array>
#include <cstdint>

#include "config/model_config.h"
#include "model/model.h"

namespace mythos {

// Facts about the linear part of the recurrence, h ← A h + …. A spectral radius ρ(A) below 1 means
// that the state decays without new input. It says nothing about the block R; measure_dynamics
// (dynamics.h) does.
struct SpectralReport {
  Injection injection = Injection::none;
  // False for injections that apply no matrix of their own to the state (add, none): there is
  // nothing to bound, and all numbers are 0.
  bool applicable = false;
  double radius = 0;  // ρ(A); NaN if A is not finite

  // Whether A is diagonal (lti, zoh), with one entry for each channel. The members below describe
  // its entries.
  bool diagonal = false;
  int64_t channels = 0;
  double smallest = 0, mean = 0;
  // The number of channels whose entry lies in [i/10, (i+1)/10).
  std::array<int64_t, 10> histogram = {};
  // Time constants −1/ln A, in loops: how long a channel remembers.
  double shortest_loops = 0, median_loops = 0, longest_loops = 0;
};

SpectralReport spectral_report(const ModelConfig& config, const Weights& weights);

// The spectral radius of a square matrix by Gelfand's formula ‖M^n‖^(1/n), with n = 2^24 reached by
// repeated squaring in fp64. This needs no complex eigenvalues and is never below the true value by
// more than rounding. 0 if a power vanishes, NaN if an entry is not finite.
double spectral_radius(const Tensor& matrix);

// The injection's weights alone of a freshly initialised model, for the spectral report of a model
// that is too large to allocate.
Weights initial_injection_weights(const ModelConfig& config);

}  // namespace mythos
