#include "ops/moe/moe_cpu.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include "device/cpu_simd.h"

namespace mythos::cpu {
namespace {

using c10::BFloat16;

int64_t padded(int64_t rows, int64_t step) {
  return rows < step ? rows : (rows + step - 1) / step * step;
}

template <class T>
MYTHOS_INLINE void sum_rows(const T* const* from, int64_t count, T* to, int64_t width) {
  constexpr int64_t kPiece = 256;
  float sum[kPiece];
  for (int64_t begin = 0; begin < width; begin += kPiece) {
    const int64_t length = std::min(kPiece, width - begin);
    const T* first = from[0] + begin;
#pragma omp simd
    for (int64_t i = 0; i < length; ++i) sum[i] = load(first[i]);
    for (int64_t j = 1; j < count; ++j) {
      const T* next = from[j] + begin;
#pragma omp simd
      for (int64_t i = 0; i < length; ++i) sum[i] += load(next[i]);
    }
#pragma omp simd
    for (int64_t i = 0; i < length; ++i) store(to + begin + i, sum[i]);
  }
}
MYTHOS_CLONES void sum_rows_f(const float* const* from, int64_t count, float* to, int64_t width) {
  sum_rows(from, count, to, width);
}
MYTHOS_CLONES void sum_rows_b(const BFloat16* const* from, int64_t count, BFloat16* to,
                              int64_t width) {
  sum_rows(from, count, to, width);
}

template <class T, class Kernel>
void combine(const std::vector<at::Tensor>& parts, const Routing& routing, const at::Tensor& out,
             Kernel kernel) {
  const int64_t width = out.size(1), k = routing.experts_per_token;
  std::vector<const T*> first;  // of each expert, less the rows before it
  for (size_t e = 0; e < parts.size(); ++e) {
    first.push_back(parts[e].defined() ? parts[e].data_ptr<T>() - routing.begin[e] * width
                                       : nullptr);
  }
  const int64_t* row = routing.row.data_ptr<int64_t>();
  const int64_t* expert = routing.expert.data_ptr<int64_t>();
  T* to = out.data_ptr<T>();
  for_pieces(out.size(0), width * k * 4, [&](int64_t, int64_t begin, int64_t end) {
    std::vector<const T*> from(static_cast<size_t>(k));
    for (int64_t n = begin; n < end; ++n) {
      for (int64_t j = 0; j < k; ++j) {
        const int64_t slot = n * k + j;
        from[static_cast<size_t>(j)] = first[static_cast<size_t>(expert[slot])] + row[slot] * width;
      }
      kernel(from.data(), k, to + n * width, width);
    }
  });
}

}  // namespace

Routing route(const at::Tensor& experts, int64_t expert_count, int64_t step) {
  Routing out;
  out.experts_per_token = experts.size(1);
  out.expert = experts.contiguous().view({-1});
  const int64_t count = out.expert.numel();
  const int64_t* expert = out.expert.data_ptr<int64_t>();
  std::vector<int64_t> rows(static_cast<size_t>(expert_count), 0);
  for (int64_t i = 0; i < count; ++i) ++rows[static_cast<size_t>(expert[i])];
  out.begin.assign(1, 0);
  for (const int64_t n : rows) out.begin.push_back(out.begin.back() + padded(n, step));
  out.token = at::zeros({out.begin.back()}, at::kLong);
  out.slot = at::full({out.begin.back()}, -1, at::kLong);
  out.row = at::empty({count}, at::kLong);
  int64_t* token = out.token.data_ptr<int64_t>();
  int64_t* slot = out.slot.data_ptr<int64_t>();
  int64_t* row = out.row.data_ptr<int64_t>();
  std::vector<int64_t> next(out.begin.begin(), out.begin.end() - 1);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t place = next[static_cast<size_t>(expert[i])]++;
    token[place] = i / out.experts_per_token;
    slot[place] = i;
    row[i] = place;
  }
  return out;
}

at::Tensor gather_rows(const at::Tensor& x, const Routing& routing) {
  const at::Tensor out = at::empty({routing.token.size(0), x.size(1)}, x.options());
  const int64_t* token = routing.token.data_ptr<int64_t>();
  const int64_t row_bytes = x.size(1) * x.element_size();
  const char* from = static_cast<const char*>(x.data_ptr());
  char* to = static_cast<char*>(out.data_ptr());
  for_pieces(out.size(0), 2 * row_bytes, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      std::memcpy(to + r * row_bytes, from + token[r] * row_bytes, static_cast<size_t>(row_bytes));
    }
  });
  return out;
}

at::Tensor gather_weights(const at::Tensor& weights, const Routing& routing) {
  const at::Tensor out = at::empty({routing.slot.size(0)}, at::kFloat);
  const float* from = weights.data_ptr<float>();
  const int64_t* slot = routing.slot.data_ptr<int64_t>();
  float* to = out.data_ptr<float>();
  for (int64_t r = 0; r < out.size(0); ++r) to[r] = slot[r] < 0 ? 0.0f : from[slot[r]];
  return out;
}

at::Tensor scatter_weights(const at::Tensor& rows, const Routing& routing) {
  const int64_t k = routing.experts_per_token;
  const at::Tensor out = at::empty({routing.row.size(0) / k, k}, at::kFloat);
  const float* from = rows.data_ptr<float>();
  const int64_t* row = routing.row.data_ptr<int64_t>();
  float* to = out.data_ptr<float>();
  for (int64_t i = 0; i < routing.row.size(0); ++i) to[i] = from[row[i]];
  return out;
}

at::Tensor combine_rows(const std::vector<at::Tensor>& parts, const Routing& routing,
                        const at::TensorOptions& options, int64_t width) {
  const int64_t tokens = routing.row.size(0) / routing.experts_per_token;
  const at::Tensor out = at::empty({tokens, width}, options);
  if (out.scalar_type() == at::kFloat)
    combine<float>(parts, routing, out, sum_rows_f);
  else
    combine<BFloat16>(parts, routing, out, sum_rows_b);
  return out;
}

}  // namespace mythos::cpu
