#include "ops/linear/linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <cpuid.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "ops/autograd.h"
#include "ops/linear/accumulate_cpu.h"
#include "ops/linear/bf16_inference_cpu.h"
#include "ops/linear/row_products.h"
#include "ops/linear/weight.h"

namespace mythos {
namespace {

using at::Tensor;

bool intel_cpu() {
  unsigned leaf = 0, vendor[3] = {};
  if (!__get_cpuid(0, &leaf, &vendor[0], &vendor[2], &vendor[1])) return false;
  return std::memcmp(vendor, "GenuineIntel", sizeof vendor) == 0;
}

bool use_onednn() {
  static const bool choice = [] {
    const char* wanted = std::getenv("MYTHOS_GEMM");
    if (!wanted || !*wanted) return !intel_cpu();
    if (std::strcmp(wanted, "onednn") == 0) return true;
    if (std::strcmp(wanted, "mkl") == 0) return false;
    fail(ErrorKind::usage, std::string("MYTHOS_GEMM=") + wanted + ": expected mkl or onednn");
  }();
  return choice;
}

using OneDnnLinear = Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&,
                            std::string_view, c10::List<std::optional<at::Scalar>>,
                            std::optional<std::string_view>);

// Null in a LibTorch without it.
const c10::TypedOperatorHandle<OneDnnLinear>* onednn_linear() {
  static const auto handle = []() -> std::optional<c10::TypedOperatorHandle<OneDnnLinear>> {
    const auto found = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    if (!found) return std::nullopt;
    return found->typed<OneDnnLinear>();
  }();
  return handle ? &*handle : nullptr;
}

// oneDNN wins on wide products in fp32; its reordering of inputs loses on thin ones.
bool onednn_serves(const Tensor& a, int64_t rows, int64_t columns, int64_t depth) {
  return a.is_cpu() && a.scalar_type() == at::kFloat && rows >= 4 && columns >= 16 && depth >= 16 &&
         use_onednn() && onednn_linear();
}

bool onednn_serves_tn(const Tensor& a, const Tensor& b) {
  // Large results spend more in oneDNN's reordering than they win.
  return a.size(1) * b.size(1) <= 1 << 19 && onednn_serves(a, a.size(1), b.size(1), a.size(0));
}

// a bᵀ with b given as [N,K]
Tensor onednn_nt(const Tensor& a, const Tensor& b) {
  return onednn_linear()->call(a, b, std::nullopt, "none", c10::List<std::optional<at::Scalar>>(),
                               "");
}

std::vector<Tensor> linear_backward(const BackwardPass& pass) {
  const Tensor &given = pass.saved[0], &w = pass.saved[1], &d = pass.gradients[0];
  const Tensor x = given.reshape({-1, given.size(-1)});
  Tensor d_x, d_w;
  if (pass.wanted[0]) d_x = matmul_nn(d, w).view(given.sizes());
  if (pass.wanted[1]) {
    if (Tensor* sum = gradient_sum(w))
      add_matmul_tn(*sum, d, x);
    else
      d_w = matmul_tn(d, x);
  }
  return {d_x, d_w};
}

Tensor recorded(const Tensor& x, const Tensor& w) {
  return record_operation("LinearBackward", {x, w}, [&] {
    return Operation{{matmul_nt(x.reshape({-1, x.size(-1)}), w)}, {x, w}, linear_backward};
  })[0];
}

// Whether the CPU multiplies fp32 rows by weights that are not.
bool widens(const Tensor& x, const Matrix& w) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && w.values.is_contiguous() &&
         (!w.is_plain() || w.values.scalar_type() == at::kBFloat16);
}

// Few rows take the weights as they lie.
Tensor product_of_few(const Tensor& x, const cpu::RowMatrix& w) {
  const Tensor out = at::empty({x.size(0), w.rows}, x.options());
  std::vector<const float*> from;
  std::vector<float*> to;
  for (int64_t m = 0; m < x.size(0); ++m) {
    from.push_back(x.const_data_ptr<float>() + m * w.columns);
    to.push_back(out.data_ptr<float>() + m * w.rows);
  }
  at::parallel_for(0, (w.rows + 3) / 4, 16, [&](int64_t begin, int64_t end) {
    cpu::row_products(w, 4 * begin, std::min(4 * end, w.rows), from.data(), x.size(0), to.data());
  });
  return out;
}

// x wᵀ of weights that are widened to fp32 piece by piece: a copy of all of them, made for each
// product, would be the largest tensor and leave the caches.
Tensor product_of_pieces(const Tensor& x, const cpu::RowMatrix& w) {
  constexpr int64_t kPieceFloats = 1 << 22;
  const int64_t step = std::clamp<int64_t>(kPieceFloats / w.columns, 1, w.rows);
  const Tensor out = at::empty({x.size(0), w.rows}, x.options());
  const Tensor memory = at::empty({step, w.columns}, x.options());
  for (int64_t begin = 0; begin < w.rows; begin += step) {
    const int64_t count = std::min(step, w.rows - begin);
    float* to = memory.data_ptr<float>() - begin * w.columns;
    at::parallel_for(begin, begin + count, 16,
                     [&](int64_t first, int64_t last) { cpu::expand_rows(w, first, last, to); });
    out.narrow(1, begin, count).copy_(matmul_nt(x, memory.narrow(0, 0, count)));
  }
  return out;
}

// x wᵀ without gradient.
Tensor product(const Tensor& x, const Matrix& w) {
  constexpr int64_t kFewRows = 4;
  if (widens(x, w)) {
    const cpu::RowMatrix rows(w);
    const Tensor given = x.contiguous();
    return x.size(0) <= kFewRows ? product_of_few(given, rows) : product_of_pieces(given, rows);
  }
  return x.is_cpu() && cpu::linear_bf16_serves(x, w) ? cpu::linear_bf16(x, w)
                                                     : matmul_nt(x, w.dense(x.scalar_type()));
}

}  // namespace

Tensor matmul_nt(const Tensor& a, const Tensor& b) {
  const at::NoGradGuard no_grad;
  return onednn_serves(a, a.size(0), b.size(0), a.size(1)) ? onednn_nt(a, b) : at::mm(a, b.t());
}

Tensor matmul_nn(const Tensor& a, const Tensor& b) {
  const at::NoGradGuard no_grad;
  return onednn_serves(a, a.size(0), b.size(1), a.size(1)) ? onednn_nt(a, b.t()) : at::mm(a, b);
}

Tensor matmul_tn(const Tensor& a, const Tensor& b) {
  const at::NoGradGuard no_grad;
  return onednn_serves_tn(a, b) ? onednn_nt(a.t(), b.t()) : at::mm(a.t(), b);
}

bool adds_in_product(at::DeviceType device, at::ScalarType type) {
  constexpr bool kKnown = TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 11;
  return kKnown && device == at::kCUDA && (type == at::kBFloat16 || type == at::kHalf);
}

void add_matmul_tn(Tensor& sum, const Tensor& a, const Tensor& b) {
  const at::NoGradGuard no_grad;
  if (adds_in_product(a.device().type(), a.scalar_type())) {
    if (sum.defined())
      at::addmm_out(sum, sum, a.t(), b, at::kFloat);
    else
      sum = at::mm(a.t(), b, at::kFloat);
  } else if (!sum.defined()) {
    sum = matmul_tn(a, b).to(at::kFloat);
  } else if (a.scalar_type() == at::kFloat && !onednn_serves_tn(a, b)) {
    at::addmm_out(sum, sum, a.t(), b);
  } else {
    const Tensor part = matmul_tn(a, b);
    // LibTorch's sum of two types makes a copy first.
    if (part.is_cpu() && part.scalar_type() == at::kBFloat16 && part.is_contiguous() &&
        sum.is_contiguous()) {
      cpu::accumulate(sum, part);
    } else {
      sum.add_(part);
    }
  }
}

Tensor apply_linear(const Tensor& x, const Matrix& w) {
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = w.rows();
  const Tensor out = wants_graph({&x, &w.values}) ? recorded(x, w.dense(x.scalar_type()))
                                                  : product(x.reshape({-1, x.size(-1)}), w);
  return out.view(sizes);
}

Tensor apply_linear(const Tensor& x, const Tensor& w) {
  return apply_linear(x, Matrix(w));
}

}  // namespace mythos
