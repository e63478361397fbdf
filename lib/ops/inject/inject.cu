// The injection update on CUDA: one pass over memory forward, one backward with the sums over rows
// made per column in two deterministic stages.
#include "device/cuda_device.h"
#include "ops/inject/inject_device.h"

namespace mythos {
namespace {

template <class R>
__global__ void forward_kernel(InjectForward args) {
  const R* r = static_cast<const R*>(args.r);
  const int64_t count = args.rows * args.width;
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < count;
       i += int64_t{kThreads} * gridDim.x) {
    const int64_t column = i % args.width;
    args.out[i] = args.A[column] * args.h[i] + args.B[column] * args.e[i] + load(r[i]);
  }
}

// Block (x, y): columns of x, rows of piece y.
__global__ void backward_kernel(InjectBackward args) {
  const int64_t column = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  if (column >= args.width) return;
  const int64_t begin = args.rows * blockIdx.y / args.partials;
  const int64_t end = args.rows * (blockIdx.y + 1) / args.partials;
  const float A = args.A[column], B = args.B[column];
  float sum_A = 0, sum_B = 0;
  for (int64_t n = begin; n < end; ++n) {
    const int64_t i = n * args.width + column;
    const float d = args.d[i];
    args.d_h[i] = A * d;
    args.d_e[i] = B * d;
    sum_A += d * args.h[i];
    sum_B += d * args.e[i];
  }
  float* partial = args.partial + blockIdx.y * 2 * args.width;
  partial[column] = sum_A;
  partial[args.width + column] = sum_B;
}

__global__ void sum_kernel(InjectBackward args) {
  const int64_t column = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  if (column >= args.width) return;
  float sum_A = 0, sum_B = 0;
  for (int64_t p = 0; p < args.partials; ++p) {
    sum_A += args.partial[p * 2 * args.width + column];
    sum_B += args.partial[p * 2 * args.width + args.width + column];
  }
  args.d_A[column] = sum_A;
  args.d_B[column] = sum_B;
}

unsigned blocks_for(int64_t count, int64_t most) {
  const int64_t blocks = (count + kThreads - 1) / kThreads;
  return static_cast<unsigned>(blocks < most ? blocks : most);
}

}  // namespace
}  // namespace mythos

extern "C" int mythos_cuda_inject_forward(const mythos::InjectForward* args, void* stream) {
  if (args->rows * args->width == 0) return 0;
  const unsigned blocks = mythos::blocks_for(args->rows * args->width, 65535);
  return mythos::with_type(args->r_type, [=](auto one) {
    return mythos::launch(mythos::forward_kernel<decltype(one)>, dim3(blocks), 0, stream, *args);
  });
}

extern "C" int mythos_cuda_inject_backward(const mythos::InjectBackward* args, void* stream) {
  const unsigned columns = mythos::blocks_for(args->width, 1 << 20);
  const dim3 blocks(columns, static_cast<unsigned>(args->partials));
  const int status = mythos::launch(mythos::backward_kernel, blocks, 0, stream, *args);
  if (status != 0) return status;
  return mythos::launch(mythos::sum_kernel, dim3(columns), 0, stream, *args);
}
