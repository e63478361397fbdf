#include "grouped_product.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <limits>

namespace emulation {
namespace {

using at::Tensor;

int64_t weight_products = 0;

void check_rows(const Tensor& x) {
  const bool transposed = x.stride(-2) == 1 && x.stride(-1) >= x.size(-2);
  TORCH_CHECK(transposed || (x.stride(-1) == 1 && x.stride(-2) >= x.size(-1)), "invalid strides");
  TORCH_CHECK(x.stride(transposed ? -1 : -2) % 8 == 0, "strides should be multiple of 16 bytes");
  TORCH_CHECK(reinterpret_cast<uintptr_t>(x.data_ptr()) % 16 == 0,
              "expected data_ptr to be aligned to 16 bytes");
  TORCH_CHECK(x.scalar_type() == at::kBFloat16, "not the path without a wait for the device");
}

Tensor grouped_product(const Tensor& a, const Tensor& b, const std::optional<Tensor>& ends,
                       const std::optional<Tensor>&, std::optional<at::ScalarType>) {
  check_rows(a);
  check_rows(b);
  const int64_t groups = ends->size(0);
  TORCH_CHECK(groups < 1024, "Can't process more than 1024 groups");
  const bool of_weights = b.dim() == 2;
  const auto sizes = of_weights ? std::vector<int64_t>{groups, a.size(0), b.size(1)}
                                : std::vector<int64_t>{a.size(0), b.size(2)};
  const Tensor out = at::full(sizes, std::numeric_limits<double>::quiet_NaN(), a.options());
  weight_products += of_weights;
  int64_t begin = 0;
  for (int64_t e = 0; e < groups; ++e) {
    const int64_t end = (*ends)[e].item<int32_t>(), count = end - begin;
    if (count == 0) continue;
    if (of_weights)
      out[e].copy_(at::mm(a.narrow(1, begin, count), b.narrow(0, begin, count)));
    else
      out.narrow(0, begin, count).copy_(at::mm(a.narrow(0, begin, count), b[e]));
    begin = end;
  }
  return out;
}

TORCH_LIBRARY_IMPL(aten, CPU, library) {
  library.impl("_grouped_mm", grouped_product);
}

}  // namespace

int64_t grouped_weight_products() {
  return weight_products;
}

}  // namespace emulation
