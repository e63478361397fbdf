#include "ops/halting/halting.h"

#include <ATen/ATen.h>

#include "device/cuda_library.h"
#include "ops/autograd.h"
#include "ops/halting/halting_device.h"
#include "ops/kernels_cuda.h"

namespace mythos {
namespace {

using at::Tensor;

HaltingStep forward_cuda(const Tensor& h, const Tensor& weight, const Tensor& bias,
                         const HaltingStep& before, double threshold, bool last, Tensor& p) {
  static const CudaKernel<HaltingForward> kernel("mythos_cuda_halting_forward");
  const auto like = [](const Tensor& t) {
    return at::empty(t.sizes(), t.options().requires_grad(false));
  };
  HaltingStep next{like(h),
                   like(before.cumulative),
                   like(before.cumulative),
                   like(before.cumulative),
                   like(before.cumulative),
                   like(before.cumulative)};
  p = like(before.cumulative);
  HaltingForward args{};
  args.h = h.data_ptr<float>();
  args.weight = weight.data_ptr<float>();
  args.bias = bias.data_ptr<float>();
  args.output = before.output.data_ptr<float>();
  args.cumulative = before.cumulative.data_ptr<float>();
  args.remainder = before.remainder.data_ptr<float>();
  args.running = before.running.data_ptr<float>();
  args.steps = before.steps.data_ptr<float>();
  args.output_out = next.output.data_ptr<float>();
  args.cumulative_out = next.cumulative.data_ptr<float>();
  args.remainder_out = next.remainder.data_ptr<float>();
  args.running_out = next.running.data_ptr<float>();
  args.steps_out = next.steps.data_ptr<float>();
  args.share = next.share.data_ptr<float>();
  args.p = p.data_ptr<float>();
  args.width = h.size(-1);
  args.rows = h.numel() / args.width;
  args.threshold = static_cast<float>(threshold);
  args.last = last;
  kernel(args, h.device());
  return next;
}

std::vector<Tensor> backward_cuda(BackwardPass& pass, double threshold, bool last) {
  static const CudaKernel<HaltingBackward> kernel("mythos_cuda_halting_backward");
  const Tensor &h = pass.saved[0], &weight = pass.saved[1], &p = pass.saved[2];
  std::vector<Tensor>& grads = pass.gradients;
  for (Tensor& grad : grads) {
    if (grad.defined()) grad = grad.contiguous();
  }
  const auto pointer = [](const Tensor& t) { return t.defined() ? t.data_ptr<float>() : nullptr; };
  const Tensor d_h = at::empty_like(h), d_z = at::empty_like(p);
  const Tensor d_cumulative = at::empty_like(p), d_weight = at::empty_like(weight);
  HaltingBackward args{};
  args.width = h.size(-1);
  args.rows = h.numel() / args.width;
  args.partials = cuda::row_partials(args.rows);
  const Tensor partial = at::empty({args.partials * args.width}, h.options());
  args.h = pointer(h);
  args.weight = pointer(weight);
  args.p = pointer(p);
  args.cumulative = pointer(pass.saved[3]);
  args.running = pointer(pass.saved[4]);
  args.d_output = pointer(grads[0]);
  args.d_cumulative_out = pointer(grads[1]);
  args.d_remainder = pointer(grads[2]);
  args.d_share = pointer(grads[3]);
  args.d_h = pointer(d_h);
  args.d_z = pointer(d_z);
  args.d_cumulative = pointer(d_cumulative);
  args.partial = pointer(partial);
  args.d_weight = pointer(d_weight);
  args.threshold = static_cast<float>(threshold);
  args.last = last;
  kernel(args, h.device());
  return {d_h, d_weight, d_z.sum().view({1}), grads[0], d_cumulative, grads[2]};
}

// Its outputs: output, cumulative, remainder, share; and without gradient running, steps.
Operation recorded_cuda(const Tensor& h, const Tensor& weight, const Tensor& bias,
                        const HaltingStep& before, double threshold, bool last) {
  Tensor p;
  const HaltingStep next = forward_cuda(h, weight, bias, before, threshold, last, p);
  Operation operation;
  operation.outputs = {next.output, next.cumulative, next.remainder,
                       next.share,  next.running,    next.steps};
  operation.without_gradient = 2;
  operation.saved = {h, weight, p, before.cumulative, before.running};
  operation.unused_as_zeros = false;
  operation.backward = [threshold, last](BackwardPass& pass) {
    return backward_cuda(pass, threshold, last);
  };
  return operation;
}

// What the kernel reads of a state.
HaltingStep contiguous(const HaltingStep& state) {
  return {state.output.contiguous(),  state.cumulative.contiguous(), state.remainder.contiguous(),
          state.running.contiguous(), state.steps.contiguous(),      {}};
}

}  // namespace

HaltingStep halting_step(const Tensor& h, const Tensor& weight, const Tensor& bias,
                         const HaltingStep& state, double threshold, bool last) {
  if (backend_of(h) != Backend::cuda) {
    return halting_step_reference(h, weight, bias, state, threshold, last);
  }
  const Tensor rows = h.contiguous();
  const HaltingStep before = contiguous(state);
  if (!wants_graph({&h, &weight, &bias, &before.output, &before.cumulative, &before.remainder})) {
    Tensor p;
    return forward_cuda(rows, weight, bias, before, threshold, last, p);
  }
  const auto next = record_operation(
      "HaltingBackward", {rows, weight, bias, before.output, before.cumulative, before.remainder},
      [&] { return recorded_cuda(rows, weight, bias, before, threshold, last); });
  return {next[0], next[1], next[2], next[4], next[5], next[3]};
}

HaltingStep halting_step_reference(const Tensor& h, const Tensor& weight, const Tensor& bias,
                                   const HaltingStep& before, double threshold, bool last) {
  const Tensor p = at::sigmoid(at::linear(h, weight, bias)).squeeze(-1);
  const Tensor &cumulative = before.cumulative, &running = before.running;
  const Tensor rest = at::clamp_min(1.0 - cumulative, 0.0);
  Tensor ends = (cumulative + p).ge(threshold);
  if (last) ends = at::ones_like(ends);
  HaltingStep next;
  next.share = at::where(ends, rest, p) * running;
  next.output = before.output + next.share.unsqueeze(-1) * h;
  next.steps = before.steps + running;
  next.remainder = before.remainder + rest * running * ends.to(rest.scalar_type());
  next.cumulative = cumulative + p * running;
  next.running = running * next.cumulative.lt(threshold).to(running.scalar_type());
  return next;
}

}  // namespace mythos
