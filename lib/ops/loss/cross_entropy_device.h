#pragma once
#include <cstdint>

#include "device/number_type.h"

// cross_entropy() on raw memory of a CUDA device: contiguous rows of `width` logits
// of `type`; a target below 0 is none.
namespace mythos {

struct CrossEntropyForward {
  const void* logits;
  const int64_t* targets;
  float *loss, *log_sum;  // [rows]
  int64_t rows, width;
  NumberType type;
};

// The gradient of cross_entropy(): logits ← (softmax(logits) - onehot(target))·d_loss, in place.
struct CrossEntropyBackward {
  void* logits;
  const int64_t* targets;
  const float *log_sum, *d_loss;
  int64_t rows, width;
  NumberType type;
};

}  // namespace mythos
