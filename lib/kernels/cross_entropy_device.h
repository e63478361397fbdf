#pragma once
#include <cstdint>

// cross_entropy() on raw memory of a CUDA device: contiguous rows of `width` logits, bf16 when
// `bf16`, else fp32; a target below 0 is none.
namespace mythos {

struct CrossEntropyForward {
  const void* logits;
  const int64_t* targets;
  float *loss, *log_sum;  // [rows]
  int64_t rows, width;
  bool bf16;
};

// logits ← (softmax(logits) - onehot(target))·d_loss, in place.
struct CrossEntropyBackward {
  void* logits;
  const int64_t* targets;
  const float *log_sum, *d_loss;
  int64_t rows, width;
  bool bf16;
};

}  // namespace mythos
