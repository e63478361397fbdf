#include "kernels/moe_cpu.h"

#include "kernels/cpu_simd.h"

namespace mythos::cpu {
namespace {

using c10::BFloat16;

template <class T>
MYTHOS_INLINE void add_row(T* to, const T* from, int64_t width) {
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) store(to + i, load(to[i]) + load(from[i]));
}
MYTHOS_CLONES void add_row_f(float* to, const float* from, int64_t width) {
  add_row(to, from, width);
}
MYTHOS_CLONES void add_row_b(BFloat16* to, const BFloat16* from, int64_t width) {
  add_row(to, from, width);
}

template <class T, class Kernel>
void scatter(const torch::Tensor& out, const torch::Tensor& token, const torch::Tensor& rows,
             int64_t count, Kernel kernel) {
  const int64_t width = out.size(1);
  const int64_t* to = token.data_ptr<int64_t>();
  T* out_data = out.data_ptr<T>();
  const T* rows_data = rows.data_ptr<T>();
  // A token goes to an expert once, so rows of one expert never meet.
  for_pieces(count, width * 8, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      kernel(out_data + to[n] * width, rows_data + n * width, width);
    }
  });
}

}  // namespace

Routing route(const torch::Tensor& experts, int64_t expert_count) {
  const torch::Tensor flat = experts.contiguous();
  const int64_t count = flat.numel(), k = experts.size(1);
  const int64_t* expert = flat.data_ptr<int64_t>();
  Routing out;
  out.begin.assign(static_cast<size_t>(expert_count) + 1, 0);
  for (int64_t i = 0; i < count; ++i) ++out.begin[static_cast<size_t>(expert[i]) + 1];
  for (size_t e = 1; e < out.begin.size(); ++e) out.begin[e] += out.begin[e - 1];
  out.slot = torch::empty({count}, torch::kInt64);
  out.token = torch::empty({count}, torch::kInt64);
  int64_t* slot = out.slot.data_ptr<int64_t>();
  int64_t* token = out.token.data_ptr<int64_t>();
  std::vector<int64_t> next(out.begin.begin(), out.begin.end() - 1);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t place = next[static_cast<size_t>(expert[i])]++;
    slot[place] = i;
    token[place] = i / k;
  }
  return out;
}

void scatter_add_rows(const torch::Tensor& out, const torch::Tensor& token,
                      const torch::Tensor& rows, int64_t count) {
  if (out.scalar_type() == torch::kFloat32)
    scatter<float>(out, token, rows, count, add_row_f);
  else
    scatter<BFloat16>(out, token, rows, count, add_row_b);
}

}  // namespace mythos::cpu
