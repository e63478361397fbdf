#include "ops/linear/accumulate_cpu.h"

#include "device/cpu_simd.h"

namespace mythos::cpu {
namespace {

MYTHOS_CLONES void add_range(float* sum, const c10::BFloat16* part, int64_t begin, int64_t end) {
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) sum[i] += load(part[i]);
}

}  // namespace

void accumulate(const at::Tensor& sum, const at::Tensor& part) {
  float* to = sum.data_ptr<float>();
  const auto* from = part.data_ptr<c10::BFloat16>();
  at::parallel_for(0, sum.numel(), 1 << 15,
                   [&](int64_t begin, int64_t end) { add_range(to, from, begin, end); });
}

}  // namespace mythos::cpu
