#pragma once
#include <cstdint>

namespace mythos {

// The type of numbers that a CUDA kernel reads or writes; it computes in fp32.
enum class NumberType : int32_t { fp32, bf16, fp16 };

}  // namespace mythos
