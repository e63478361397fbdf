#include "ops/loss/cross_entropy_cpu.h"

#include "device/cpu_simd.h"

namespace mythos::cpu {
namespace {

using c10::BFloat16;

template <class T>
MYTHOS_INLINE float log_sum_exp(const T* row, int64_t width) {
  float most = load(row[0]);
#pragma omp simd reduction(max : most)
  for (int64_t i = 0; i < width; ++i) most = load(row[i]) > most ? load(row[i]) : most;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < width; ++i) sum += exp(load(row[i]) - most);
  return most + std::log(sum);
}

template <class T>
MYTHOS_INLINE void gradient(T* row, float log_sum, float d, int64_t width) {
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) store(row + i, exp(load(row[i]) - log_sum) * d);
}

MYTHOS_CLONES float log_sum_f(const float* row, int64_t width) {
  return log_sum_exp(row, width);
}
MYTHOS_CLONES float log_sum_b(const BFloat16* row, int64_t width) {
  return log_sum_exp(row, width);
}
MYTHOS_CLONES void gradient_f(float* row, float log_sum, float d, int64_t width) {
  gradient(row, log_sum, d, width);
}
MYTHOS_CLONES void gradient_b(BFloat16* row, float log_sum, float d, int64_t width) {
  gradient(row, log_sum, d, width);
}

template <class T, class Kernel>
void forward(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& loss,
             const at::Tensor& log_sum, Kernel kernel) {
  const int64_t width = logits.size(1);
  const T* data = logits.data_ptr<T>();
  const int64_t* target = targets.data_ptr<int64_t>();
  for_pieces(logits.size(0), width * 16, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const float sum = kernel(data + n * width, width);
      log_sum.data_ptr<float>()[n] = sum;
      loss.data_ptr<float>()[n] = target[n] < 0 ? 0.0f : sum - load(data[n * width + target[n]]);
    }
  });
}

template <class T, class Kernel>
void backward(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& log_sum,
              const at::Tensor& d_loss, Kernel kernel) {
  const int64_t width = logits.size(1);
  T* data = logits.data_ptr<T>();
  const int64_t* target = targets.data_ptr<int64_t>();
  for_pieces(logits.size(0), width * 16, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      T* row = data + n * width;
      if (target[n] < 0) {
        std::fill(row, row + width, T(0));
        continue;
      }
      const float d = d_loss.data_ptr<float>()[n], sum = log_sum.data_ptr<float>()[n];
      const float at_target = exp(load(row[target[n]]) - sum) - 1.0f;
      kernel(row, sum, d, width);
      store(row + target[n], at_target * d);
    }
  });
}

}  // namespace

void cross_entropy_forward(const at::Tensor& logits, const at::Tensor& targets,
                           const at::Tensor& loss, const at::Tensor& log_sum) {
  if (logits.scalar_type() == at::kFloat)
    forward<float>(logits, targets, loss, log_sum, log_sum_f);
  else
    forward<BFloat16>(logits, targets, loss, log_sum, log_sum_b);
}

void cross_entropy_backward(const at::Tensor& logits, const at::Tensor& targets,
                            const at::Tensor& log_sum, const at::Tensor& d_loss) {
  if (logits.scalar_type() == at::kFloat)
    backward<float>(logits, targets, log_sum, d_loss, gradient_f);
  else
    backward<BFloat16>(logits, targets, log_sum, d_loss, gradient_b);
}

}  // namespace mythos::cpu
