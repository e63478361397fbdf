#include "ops/loss/linear_cross_entropy.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "ops/autograd.h"
#include "ops/linear/linear.h"
#include "ops/linear/weight.h"
#include "ops/loss/cross_entropy.h"

namespace mythos {
namespace {

using at::Tensor;

// f(first row, rows) for each block of rows of x [N,D].
template <class F>
void for_blocks(const Tensor& x, int64_t classes, const F& f) {
  const int64_t rows = x.size(0), step = rows_at_a_time(x.device().type(), classes);
  for (int64_t begin = 0; begin < rows; begin += step) f(begin, std::min(step, rows - begin));
}

// The loss is mostly what the backward pass starts from: then there is nothing to multiply by.
Tensor scaled(const Tensor& gradient, const Tensor& d) {
  return d.is_cpu() && d.item<float>() == 1.0f ? gradient : (gradient * d).to(gradient.dtype());
}

// Gradients for a loss whose own gradient is 1.
struct UnitGradients {
  Tensor d_x, d_w;
};

// The gradients of an operator whose weight w has the gradient d_w.
std::vector<Tensor> with_weight(const Tensor& d_x, const Tensor& w, const Tensor& d_w) {
  if (Tensor* sum = gradient_sum(w)) {
    *sum = sum->defined() ? sum->add_(d_w) : d_w;
    return {d_x, Tensor()};
  }
  return {d_x, d_w.to(w.scalar_type())};
}

std::vector<Tensor> backward(const BackwardPass& pass, const UnitGradients& unit) {
  const Tensor &w = pass.saved[0], &d = pass.gradients[0];
  const Tensor d_x = scaled(unit.d_x, d);
  if (!pass.wanted[1]) return {d_x, Tensor()};
  return with_weight(d_x, w, scaled(unit.d_w, d));
}

// Bounds the logits in place; what their gradient is then multiplied by, 1 − tanh², nothing where
// there is no bound.
Tensor bound_logits(Tensor& logits, double softcap) {
  if (softcap <= 0) return {};
  logits.div_(softcap).tanh_();
  const Tensor slope = at::addcmul(at::ones({1}, logits.options()), logits, logits, -1);
  logits.mul_(softcap);
  return slope;
}

// The gradients of rows whose losses have the gradients d [N].
std::vector<Tensor> backward_of_each(const BackwardPass& pass, double softcap) {
  const Tensor &x = pass.saved[0], &w = pass.saved[1], &targets = pass.saved[2];
  const Tensor d = pass.gradients[0];
  const Tensor d_x = at::empty(x.sizes(), x.options().requires_grad(false));
  Tensor d_w;
  for_blocks(x, w.size(0), [&](int64_t begin, int64_t count) {
    const Tensor rows = x.narrow(0, begin, count);
    Tensor logits = matmul_nt(rows, w);
    const Tensor slope = bound_logits(logits, softcap);
    cross_entropy_row_gradients(logits, targets.narrow(0, begin, count), d.narrow(0, begin, count));
    if (slope.defined()) logits.mul_(slope);
    d_x.narrow(0, begin, count).copy_(matmul_nn(logits, w));
    if (pass.wanted[1]) add_matmul_tn(d_w, logits, rows);
  });
  if (!pass.wanted[1]) return {d_x, Tensor()};
  return with_weight(d_x, w, d_w);
}

Tensor total(const Tensor& sum, double scale, const Tensor& device_scale) {
  const Tensor scaled = sum * scale;
  return (device_scale.defined() ? scaled * device_scale : scaled).to(at::kFloat);
}

// The gradients are formed with the loss, so that no block's logits are computed twice.
Operation forward(const Tensor& x, const Tensor& w, const Tensor& targets, double scale,
                  const Tensor& device_scale, double softcap) {
  const Tensor d_x = at::empty(x.sizes(), x.options().requires_grad(false));
  Tensor d_w, sum = at::zeros({}, x.options().dtype(at::kDouble).requires_grad(false));
  const bool weight_wanted = w.requires_grad();
  for_blocks(x, w.size(0), [&](int64_t begin, int64_t count) {
    const Tensor rows = x.narrow(0, begin, count);
    Tensor logits = matmul_nt(rows, w);
    const Tensor own = targets.narrow(0, begin, count);
    const Tensor slope = bound_logits(logits, softcap);
    sum += cross_entropy_gradient(logits, own, scale, device_scale).sum(at::kDouble);
    if (slope.defined()) logits.mul_(slope);
    d_x.narrow(0, begin, count).copy_(matmul_nn(logits, w));
    if (weight_wanted) add_matmul_tn(d_w, logits, rows);
  });
  return {
      {total(sum, scale, device_scale)},
      {w},
      [unit = UnitGradients{d_x, d_w}](const BackwardPass& pass) { return backward(pass, unit); }};
}

}  // namespace

Tensor linear_cross_entropy(const Tensor& x, const Tensor& w, const Tensor& targets, double scale,
                            const Tensor& device_scale, double softcap) {
  if (wants_graph({&x, &w})) {
    return record_operation("LinearCrossEntropyBackward", {x, w}, [&] {
      return forward(x, w, targets.contiguous(), scale, device_scale, softcap);
    })[0];
  }
  return total(linear_cross_entropy_rows(x, w, targets, softcap).sum(at::kDouble), scale,
               device_scale);
}

Tensor linear_cross_entropy_reference(const Tensor& x, const Tensor& w, const Tensor& targets,
                                      double scale, double softcap) {
  const Tensor plain = at::matmul(x, w.t()).to(at::kFloat);
  const Tensor logits = softcap > 0 ? softcapped(plain, softcap) : plain;
  return at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum, -1) * scale;
}

Tensor linear_cross_entropy_each(const Tensor& x, const Tensor& w, const Tensor& targets,
                                 double softcap) {
  const Tensor ids = targets.contiguous();
  if (!wants_graph({&x, &w})) return linear_cross_entropy_rows(x, w, ids, softcap);
  return record_operation("LinearCrossEntropyEachBackward", {x, w}, [&] {
    return Operation{
        {linear_cross_entropy_rows(x, w, ids, softcap)},
        {x, w, ids},
        [softcap](const BackwardPass& pass) { return backward_of_each(pass, softcap); }};
  })[0];
}

Tensor linear_cross_entropy_each_reference(const Tensor& x, const Tensor& w, const Tensor& targets,
                                           double softcap) {
  const Tensor plain = at::matmul(x, w.t());
  return cross_entropy_reference(softcap > 0 ? softcapped(plain, softcap) : plain, targets);
}

int64_t rows_at_a_time(at::DeviceType device, int64_t classes) {
  const int64_t logits = int64_t{1} << (device == at::kCUDA ? 28 : 24);
  return std::max<int64_t>(1, logits / classes);
}

Tensor linear_cross_entropy_rows(const Tensor& x, const Matrix& w, const Tensor& targets,
                                 double softcap) {
  const at::NoGradGuard no_grad;
  const Tensor out = at::empty({x.size(0)}, x.options().dtype(at::kFloat));
  for_blocks(x, w.rows(), [&](int64_t begin, int64_t count) {
    Tensor logits = apply_linear(x.narrow(0, begin, count), w);
    if (softcap > 0) logits = softcapped(logits, softcap);
    out.narrow(0, begin, count).copy_(cross_entropy(logits, targets.narrow(0, begin, count)));
  });
  return out;
}

}  // namespace mythos
