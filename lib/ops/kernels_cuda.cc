#include "ops/kernels_cuda.h"

#include <ATen/ATen.h>
#include <algorithm>

#include "device/cuda_library.h"
#include "ops/attention/rope_device.h"
#include "ops/loss/cross_entropy_device.h"
#include "ops/norm/rms_norm_device.h"
#include "ops/swiglu/swiglu_device.h"

namespace mythos::cuda {
namespace {

using at::Tensor;

void* data(const Tensor& x) {
  return x.defined() ? x.data_ptr() : nullptr;
}
template <class T>
T* data(const Tensor& x) {
  return x.defined() ? x.data_ptr<T>() : nullptr;
}

}  // namespace

NumberType number_type(const Tensor& x) {
  if (x.scalar_type() == at::kFloat) return NumberType::fp32;
  return x.scalar_type() == at::kHalf ? NumberType::fp16 : NumberType::bf16;
}

int64_t row_partials(int64_t rows) {
  return std::clamp<int64_t>(rows / 16, 1, 264);
}

void rms_norm_forward(const Tensor& a, const Tensor& b, const Tensor& shift, const Tensor& weight,
                      double eps, const Tensor& s, const Tensor& out, const Tensor& rstd) {
  static const CudaKernel<RmsNormForward> kernel("mythos_cuda_rms_norm_forward");
  RmsNormForward args{};
  args.a = data(a);
  args.b = data(b);
  args.shift = data<float>(shift);
  args.weight = data<float>(weight);
  args.sum = data(s);
  args.out = data(out);
  args.rstd = data<float>(rstd);
  args.rows = a.size(0);
  args.width = a.size(1);
  args.a_stride = a.stride(0);
  args.b_stride = b.defined() ? b.stride(0) : 0;
  args.eps = static_cast<float>(eps);
  args.in_type = number_type(a);
  args.out_type = number_type(out);
  kernel(args, a.device());
}

void rms_norm_backward(const Tensor& s, const Tensor& weight, const Tensor& rstd,
                       const Tensor& d_out, const Tensor& d_sum, const Tensor& d_s,
                       const Tensor& d_weight) {
  static const CudaKernel<RmsNormBackward> kernel("mythos_cuda_rms_norm_backward");
  RmsNormBackward args{};
  args.rows = s.size(0);
  args.width = s.size(1);
  args.partials = row_partials(args.rows);
  const Tensor partial = at::empty({args.partials * args.width}, weight.options());
  args.s = data(s);
  args.weight = data<float>(weight);
  args.rstd = data<float>(rstd);
  args.d_out = data(d_out);
  args.d_sum = data(d_sum);
  args.d_s = data(d_s);
  args.partial = data<float>(partial);
  args.d_weight = data<float>(d_weight);
  args.s_stride = s.stride(0);
  args.in_type = number_type(s);
  args.out_type = number_type(d_out);
  kernel(args, s.device());
}

void swiglu_forward(const Tensor& gate_up, const Tensor& scale, const Tensor& slot,
                    const Tensor& out) {
  static const CudaKernel<SwiGluForward> kernel("mythos_cuda_swiglu_forward");
  kernel({data(gate_up), data<float>(scale), data<int64_t>(slot), data(out), out.size(0),
          out.size(1), number_type(out)},
         out.device());
}

void swiglu_backward(const Tensor& gate_up, const Tensor& scale, const Tensor& slot,
                     const Tensor& d_out, const Tensor& d_gate_up, const Tensor& d_scale) {
  static const CudaKernel<SwiGluBackward> kernel("mythos_cuda_swiglu_backward");
  kernel({data(gate_up), data<float>(scale), data<int64_t>(slot), data(d_out), data(d_gate_up),
          data<float>(d_scale), d_out.size(0), d_out.size(1), number_type(d_out)},
         d_out.device());
}

void rope(const Tensor& x, const Tensor& cos, const Tensor& sin, float direction,
          RopePairing pairing, const Tensor& out) {
  static const CudaKernel<Rope> kernel("mythos_cuda_rope");
  Rope args{};
  args.x = data(x);
  args.cos = data<float>(cos);
  args.sin = data<float>(sin);
  args.out = data(out);
  args.batch = x.size(0);
  args.length = x.size(1);
  args.heads = x.size(2);
  args.width = x.size(3);
  args.pairs = cos.size(1);
  args.batch_stride = x.stride(0);
  args.position_stride = x.stride(1);
  args.direction = direction;
  args.halves = pairing == RopePairing::halves;
  args.type = number_type(x);
  kernel(args, x.device());
}

void cross_entropy_forward(const Tensor& logits, const Tensor& targets, const Tensor& loss,
                           const Tensor& log_sum) {
  static const CudaKernel<CrossEntropyForward> kernel("mythos_cuda_cross_entropy_forward");
  kernel({data(logits), data<int64_t>(targets), data<float>(loss), data<float>(log_sum),
          logits.size(0), logits.size(1), number_type(logits)},
         logits.device());
}

void cross_entropy_backward(const Tensor& logits, const Tensor& targets, const Tensor& log_sum,
                            const Tensor& d_loss) {
  static const CudaKernel<CrossEntropyBackward> kernel("mythos_cuda_cross_entropy_backward");
  kernel({data(logits), data<int64_t>(targets), data<float>(log_sum), data<float>(d_loss),
          logits.size(0), logits.size(1), number_type(logits)},
         logits.device());
}

}  // namespace mythos::cuda
