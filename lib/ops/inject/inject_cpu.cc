#include "device/cpu_simd.h"
#include "ops/inject/inject_device.h"

namespace mythos::cpu {
namespace {

template <class R>
MYTHOS_INLINE void forward_rows(const InjectForward& args, int64_t begin, int64_t end) {
  const int64_t width = args.width;
  const float* A = args.A;
  const float* B = args.B;
  for (int64_t n = begin; n < end; ++n) {
    const float* h = args.h + n * width;
    const float* e = args.e + n * width;
    const R* r = static_cast<const R*>(args.r) + n * width;
    float* out = args.out + n * width;
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) out[i] = A[i] * h[i] + B[i] * e[i] + load(r[i]);
  }
}

MYTHOS_CLONES void forward_f(const InjectForward& args, int64_t begin, int64_t end) {
  forward_rows<float>(args, begin, end);
}
MYTHOS_CLONES void forward_b(const InjectForward& args, int64_t begin, int64_t end) {
  forward_rows<c10::BFloat16>(args, begin, end);
}

MYTHOS_CLONES void backward_rows(const InjectBackward& args, int64_t piece, int64_t begin,
                                 int64_t end) {
  const int64_t width = args.width;
  float* sum_A = args.partial + piece * 2 * width;
  float* sum_B = sum_A + width;
  std::fill(sum_A, sum_A + 2 * width, 0.0f);
  const float* A = args.A;
  const float* B = args.B;
  for (int64_t n = begin; n < end; ++n) {
    const float* d = args.d + n * width;
    const float* h = args.h + n * width;
    const float* e = args.e + n * width;
    float* d_h = args.d_h + n * width;
    float* d_e = args.d_e + n * width;
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) {
      d_h[i] = A[i] * d[i];
      d_e[i] = B[i] * d[i];
      sum_A[i] += d[i] * h[i];
      sum_B[i] += d[i] * e[i];
    }
  }
}

}  // namespace

void inject_forward(const InjectForward& args) {
  for_pieces(args.rows, args.width * 16, [&](int64_t, int64_t begin, int64_t end) {
    args.r_type == NumberType::bf16 ? forward_b(args, begin, end) : forward_f(args, begin, end);
  });
}

void inject_backward(const InjectBackward& args) {
  for_pieces(args.rows, args.width * 16, [&](int64_t piece, int64_t begin, int64_t end) {
    backward_rows(args, piece, begin, end);
  });
  std::fill(args.d_A, args.d_A + args.width, 0.0f);
  std::fill(args.d_B, args.d_B + args.width, 0.0f);
  for (int64_t p = 0; p < args.partials; ++p) {
    const float* sum_A = args.partial + p * 2 * args.width;
    const float* sum_B = sum_A + args.width;
    for (int64_t i = 0; i < args.width; ++i) {
      args.d_A[i] += sum_A[i];
      args.d_B[i] += sum_B[i];
    }
  }
}

}  // namespace mythos::cpu
