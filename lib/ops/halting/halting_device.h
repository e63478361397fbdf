#pragma once
#include <cstdint>

// halting_step() on raw memory of a CUDA device. h and output have rows of `width` numbers; the
// rest has one number a row; all fp32. Names ending in _out are written.
namespace mythos {

struct HaltingForward {
  const float *h, *weight, *bias;
  const float *output, *cumulative, *remainder, *running, *steps;
  float *output_out, *cumulative_out, *remainder_out, *running_out, *steps_out, *share, *p;
  int64_t rows, width;
  float threshold;
  bool last;
};

// The gradients of halting_step(); those of its results may be null: zero. d_z [rows] is the
// gradient of h·weight + bias; `partial` has space for partials·width numbers.
struct HaltingBackward {
  const float *h, *weight, *p, *cumulative, *running;
  const float *d_output, *d_cumulative_out, *d_remainder, *d_share;
  float *d_h, *d_z, *d_cumulative, *partial, *d_weight;
  int64_t rows, width, partials;
  float threshold;
  bool last;
};

}  // namespace mythos
