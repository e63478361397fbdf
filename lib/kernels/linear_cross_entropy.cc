#include "kernels/linear_cross_entropy.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/matmul.h>

#include <algorithm>

#include "kernels/autograd.h"
#include "kernels/cross_entropy.h"
#include "kernels/linear.h"
#include "kernels/weight.h"

namespace mythos {
namespace {

using torch::Tensor;

constexpr int64_t kLogits = 1 << 24;  // formed at a time

// f(first row, rows) for each block of rows.
template <class F>
void for_blocks(int64_t rows, int64_t classes, const F& f) {
  const int64_t step = std::max<int64_t>(1, kLogits / classes);
  for (int64_t begin = 0; begin < rows; begin += step) f(begin, std::min(step, rows - begin));
}

class LinearCrossEntropy : public torch::autograd::Function<LinearCrossEntropy> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& w,
                        const Tensor& targets, double scale) {
    const Tensor d_x = torch::empty(x.sizes(), x.options().requires_grad(false));
    Tensor d_w, sum = torch::zeros({}, x.options().dtype(torch::kFloat64).requires_grad(false));
    const bool weight_wanted = w.requires_grad();
    for_blocks(x.size(0), w.size(0), [&](int64_t begin, int64_t count) {
      const Tensor rows = x.narrow(0, begin, count);
      Tensor logits = matmul_nt(rows, w);
      sum += cross_entropy_gradient(logits, targets.narrow(0, begin, count), scale)
                 .sum(torch::kFloat64);
      d_x.narrow(0, begin, count).copy_(matmul_nn(logits, w));
      if (weight_wanted) add_matmul_tn(d_w, logits, rows);
    });
    context->save_for_backward({w});
    context->saved_data["d_x"] = d_x;
    if (weight_wanted) context->saved_data["d_w"] = d_w;
    return (sum * scale).to(torch::kFloat32);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const Tensor w = context->get_saved_variables()[0];
    const Tensor d_x = scaled(context->saved_data["d_x"].toTensor(), grads[0]);
    if (!context->needs_input_grad(1)) return {d_x, Tensor(), Tensor(), Tensor()};
    Tensor d_w = scaled(context->saved_data["d_w"].toTensor(), grads[0]);
    context->saved_data.clear();
    if (Tensor* sum = gradient_sum(w)) {
      *sum = sum->defined() ? sum->add_(d_w) : d_w;
      d_w = Tensor();
    }
    return {d_x, d_w.defined() ? d_w.to(w.scalar_type()) : d_w, Tensor(), Tensor()};
  }

 private:
  // The loss is mostly what the backward pass starts from: then there is nothing to multiply by.
  static Tensor scaled(const Tensor& gradient, const Tensor& d) {
    return d.is_cpu() && d.item<float>() == 1.0f ? gradient : (gradient * d).to(gradient.dtype());
  }
};

}  // namespace

Tensor linear_cross_entropy(const Tensor& x, const Tensor& w, const Tensor& targets, double scale) {
  if (wants_graph({&x, &w})) {
    return LinearCrossEntropy::apply(x, w, targets.contiguous(), scale);
  }
  return (linear_cross_entropy_rows(x, w, targets).sum(torch::kFloat64) * scale)
      .to(torch::kFloat32);
}

Tensor linear_cross_entropy_reference(const Tensor& x, const Tensor& w, const Tensor& targets,
                                      double scale) {
  const Tensor logits = at::matmul(x, w.t()).to(torch::kFloat32);
  return at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum, -1) * scale;
}

Tensor linear_cross_entropy_rows(const Tensor& x, const Matrix& w, const Tensor& targets) {
  const torch::NoGradGuard no_grad;
  const Tensor out = torch::empty({x.size(0)}, x.options().dtype(torch::kFloat32));
  for_blocks(x.size(0), w.rows(), [&](int64_t begin, int64_t count) {
    out.narrow(0, begin, count)
        .copy_(cross_entropy(apply_linear(x.narrow(0, begin, count), w),
                             targets.narrow(0, begin, count)));
  });
  return out;
}

}  // namespace mythos
