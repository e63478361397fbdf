#pragma once
#include <array>
#include <cstdint>

#include "config/model_config.h"
#include "model/model.h"

namespace mythos {

// What the linear part of the recurrence, h ← A h + …, does by itself. Its spectral radius ρ(A)
// below 1 means that without new input the state decays; it says nothing about the block R, which
// is what measure_dynamics (dynamics.h) is for.
struct SpectralReport {
  Injection injection = Injection::none;
  // False for injections without a matrix of their own on the state (add, none): there is nothing
  // to bound, and the numbers below are 0.
  bool applicable = false;
  double radius = 0;  // ρ(A); NaN when A is not finite

  // Diagonal A (lti, zoh): its entries, one per channel.
  bool diagonal = false;
  int64_t channels = 0;
  double smallest = 0, mean = 0;
  // Channels with A in [i/10, (i+1)/10).
  std::array<int64_t, 10> histogram = {};
  // Time constants −1/ln A in loops: how long a channel remembers.
  double shortest_loops = 0, median_loops = 0, longest_loops = 0;
};

SpectralReport spectral_report(const ModelConfig& config, const Weights& weights);

// ρ of a square matrix by Gelfand's formula ‖M^n‖^(1/n) with n = 2^24 by repeated squaring in fp64:
// no complex eigenvalues, and never below the true value by more than rounding. 0 when a power
// vanishes, NaN when an entry is not finite.
double spectral_radius(const Tensor& matrix);

// The injection's weights of a freshly initialised model, and nothing else: the spectral report of
// a model too large to allocate.
Weights initial_injection_weights(const ModelConfig& config);

}  // namespace mythos
