// The CUDA kernels at the end of tensors of more than 2³¹ numbers, as the largest models have: of
// each launch only one block runs, and memory is there only where it is touched.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cmath>
#include <optional>

#include "device/cuda_device.h"
#include "ops/attention/rope_device.h"
#include "ops/halting/halting_device.h"
#include "ops/inject/inject_device.h"
#include "ops/loss/cross_entropy_device.h"
#include "ops/moe/moe_device.h"
#include "ops/norm/rms_norm_device.h"
#include "ops/swiglu/swiglu_device.h"

extern "C" {
int mythos_cuda_rms_norm_forward(const mythos::RmsNormForward* args, void* stream);
int mythos_cuda_swiglu_forward(const mythos::SwiGluForward* args, void* stream);
int mythos_cuda_swiglu_backward(const mythos::SwiGluBackward* args, void* stream);
int mythos_cuda_rope(const mythos::Rope* args, void* stream);
int mythos_cuda_inject_forward(const mythos::InjectForward* args, void* stream);
int mythos_cuda_inject_backward(const mythos::InjectBackward* args, void* stream);
int mythos_cuda_halting_forward(const mythos::HaltingForward* args, void* stream);
int mythos_cuda_cross_entropy_forward(const mythos::CrossEntropyForward* args, void* stream);
int mythos_cuda_cross_entropy_backward(const mythos::CrossEntropyBackward* args, void* stream);
int mythos_cuda_moe_gather(const mythos::MoeGather* args, void* stream);
int mythos_cuda_moe_combine(const mythos::MoeCombine* args, void* stream);
int mythos_cuda_grouped_rows(const mythos::GroupedRows* args, void* stream);
int mythos_cuda_grouped_weights(const mythos::GroupedWeights* args, void* stream);
int mythos_cuda_grouped_add(const mythos::GroupedAdd* args, void* stream);
}

namespace mythos {
namespace {

constexpr int64_t kRows = 1 << 20, kWidth = 2056, kLast = kRows - 1;
static_assert(kRows * kWidth > int64_t{1} << 31);

// Zeros that take memory only where they are written.
template <class T>
class Sparse {
 public:
  explicit Sparse(int64_t count) : bytes_(static_cast<size_t>(count) * sizeof(T)) {
    void* begin = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (begin != MAP_FAILED) begin_ = static_cast<T*>(begin);
  }
  ~Sparse() {
    if (begin_) munmap(begin_, bytes_);
  }
  Sparse(const Sparse&) = delete;
  Sparse& operator=(const Sparse&) = delete;
  T* get() const { return begin_; }
  void fill(int64_t first, int64_t count, T value) { std::fill_n(begin_ + first, count, value); }
  T operator[](int64_t i) const { return begin_[i]; }

 private:
  size_t bytes_;
  T* begin_ = nullptr;
};

class CudaLargeIndex : public testing::Test {
 protected:
  void SetUp() override {
    if (!Sparse<float>(10 * kRows * kWidth).get()) {
      GTEST_SKIP() << "this machine does not give 86 GB of addresses";
    }
  }
  void TearDown() override { emulation::run_only(std::nullopt); }

  Sparse<float> a_{kRows * 2 * kWidth}, b_{kRows * 2 * kWidth}, out_{kRows * 2 * kWidth};
  Sparse<float> per_row_{kRows};
};

TEST_F(CudaLargeIndex, RmsNorm) {
  Sparse<float> weight(kWidth);
  weight.fill(0, kWidth, 2);
  a_.fill(kLast * kWidth, kWidth, 1);
  b_.fill(kLast * kWidth, kWidth, 2);
  RmsNormForward args{};
  args.a = a_.get();
  args.b = b_.get();
  args.weight = weight.get();
  Sparse<float> sum(kRows * kWidth);
  args.sum = sum.get();
  args.out = out_.get();
  args.rstd = per_row_.get();
  args.rows = kRows;
  args.width = args.a_stride = args.b_stride = kWidth;
  emulation::run_only(dim3(kLast));
  EXPECT_EQ(mythos_cuda_rms_norm_forward(&args, nullptr), 0);
  EXPECT_FLOAT_EQ(sum[kRows * kWidth - 1], 3);
  EXPECT_FLOAT_EQ(out_[kRows * kWidth - 1], 2);
  EXPECT_FLOAT_EQ(per_row_[kLast], 1.0f / 3);
}

TEST_F(CudaLargeIndex, SwiGlu) {
  const float silu = 1 / (1 + std::exp(-1.0f));
  a_.fill(kLast * 2 * kWidth, 2 * kWidth, 1);
  SwiGluForward forward{};
  forward.gate_up = a_.get();
  forward.out = out_.get();
  forward.rows = kRows;
  forward.width = kWidth;
  emulation::run_only(dim3(kLast));
  EXPECT_EQ(mythos_cuda_swiglu_forward(&forward, nullptr), 0);
  EXPECT_FLOAT_EQ(out_[kRows * kWidth - 1], silu);

  SwiGluBackward backward{};
  backward.gate_up = a_.get();
  backward.d_out = b_.get();
  b_.fill(kLast * kWidth, kWidth, 2);
  backward.d_gate_up = out_.get();
  backward.rows = kRows;
  backward.width = kWidth;
  EXPECT_EQ(mythos_cuda_swiglu_backward(&backward, nullptr), 0);
  EXPECT_FLOAT_EQ(out_[kRows * 2 * kWidth - 1], 2 * silu);
}

TEST_F(CudaLargeIndex, Rope) {
  constexpr int64_t kHeads = 257, kHeadWidth = 8, kPairs = 2;
  static_assert(kHeads * kHeadWidth == kWidth);
  Sparse<float> cos(kRows * kPairs), sin(kRows * kPairs);
  sin.fill(kLast * kPairs, kPairs, 1);  // a quarter turn
  a_.fill(kLast * kWidth, kWidth, 3);
  Rope args{};
  args.x = a_.get();
  args.cos = cos.get();
  args.sin = sin.get();
  args.out = out_.get();
  args.batch = 1;
  args.length = kRows;
  args.heads = kHeads;
  args.width = kHeadWidth;
  args.pairs = kPairs;
  args.batch_stride = kRows * kWidth;
  args.position_stride = kWidth;
  args.direction = 1;
  emulation::run_only(dim3(kLast));
  EXPECT_EQ(mythos_cuda_rope(&args, nullptr), 0);
  EXPECT_FLOAT_EQ(out_[kRows * kWidth - 1], 3);
  EXPECT_FLOAT_EQ(out_[kRows * kWidth - 2], -3);
  EXPECT_FLOAT_EQ(out_[kRows * kWidth - 5], 3);
}

TEST_F(CudaLargeIndex, Inject) {
  Sparse<float> A(kWidth), B(kWidth), d(kRows * kWidth), d_AB(2 * kWidth);
  A.fill(0, kWidth, 2);
  B.fill(0, kWidth, 3);
  a_.fill(kLast * kWidth, kWidth, 1);
  b_.fill(kLast * kWidth, kWidth, 1);
  InjectForward args{};
  args.h = a_.get();
  args.e = b_.get();
  args.r = d.get();
  args.A = A.get();
  args.B = B.get();
  args.out = out_.get();
  args.rows = kRows;
  args.width = kWidth;
  // The block of the last number: blocks of 256 numbers go round a grid of 65535.
  const int64_t blocks = kRows * kWidth / kThreads;
  emulation::run_only(dim3(static_cast<unsigned>((blocks - 1) % 65535)));
  EXPECT_EQ(mythos_cuda_inject_forward(&args, nullptr), 0);
  EXPECT_FLOAT_EQ(out_[kRows * kWidth - 1], 5);

  // As many partial sums as rows/1024, so that a block has few rows.
  constexpr int64_t kPartials = 1024;
  Sparse<float> partial(2 * kPartials * kWidth), d_h(kRows * kWidth);
  d.fill(kLast * kWidth, kWidth, 4);
  InjectBackward backward{};
  backward.d = d.get();
  backward.h = a_.get();
  backward.e = b_.get();
  backward.A = A.get();
  backward.B = B.get();
  backward.d_h = d_h.get();
  backward.d_e = out_.get();
  backward.partial = partial.get();
  backward.d_A = d_AB.get();
  backward.d_B = d_AB.get() + kWidth;
  backward.rows = kRows;
  backward.width = kWidth;
  backward.partials = kPartials;
  emulation::run_only(dim3(kWidth / kThreads, kPartials - 1));
  EXPECT_EQ(mythos_cuda_inject_backward(&backward, nullptr), 0);
  EXPECT_FLOAT_EQ(d_h[kRows * kWidth - 1], 8);
  EXPECT_FLOAT_EQ(out_[kRows * kWidth - 1], 12);
  EXPECT_FLOAT_EQ(partial[2 * kPartials * kWidth - 1], 4);
}

TEST_F(CudaLargeIndex, Halting) {
  Sparse<float> weight(kWidth), bias(1), more(8 * kRows);
  a_.fill(kLast * kWidth, kWidth, 2);
  b_.fill(kLast * kWidth, kWidth, 1);
  HaltingForward args{};
  args.h = a_.get();
  args.weight = weight.get();
  args.bias = bias.get();
  args.output = b_.get();
  args.cumulative = args.remainder = args.steps = per_row_.get();
  Sparse<float> running(kRows);
  running.fill(kLast, 1, 1);
  args.running = running.get();
  args.output_out = out_.get();
  args.cumulative_out = more.get();
  args.remainder_out = more.get() + kRows;
  args.running_out = more.get() + 2 * kRows;
  args.steps_out = more.get() + 3 * kRows;
  args.share = more.get() + 4 * kRows;
  args.p = more.get() + 5 * kRows;
  args.rows = kRows;
  args.width = kWidth;
  args.threshold = 0.9f;
  emulation::run_only(dim3(kLast));
  EXPECT_EQ(mythos_cuda_halting_forward(&args, nullptr), 0);
  EXPECT_FLOAT_EQ(out_[kRows * kWidth - 1], 2);  // 1 + sigmoid(0)·2
  EXPECT_FLOAT_EQ(more[kLast], 0.5f);
}

TEST_F(CudaLargeIndex, CrossEntropy) {
  Sparse<int64_t> targets(kRows);
  targets.fill(kLast, 1, kWidth - 1);
  Sparse<float> log_sum(kRows);
  CrossEntropyForward forward{};
  forward.logits = a_.get();
  forward.targets = targets.get();
  forward.loss = per_row_.get();
  forward.log_sum = log_sum.get();
  forward.rows = kRows;
  forward.width = kWidth;
  a_.fill(kLast * kWidth, kWidth, 1);
  emulation::run_only(dim3(kLast));
  EXPECT_EQ(mythos_cuda_cross_entropy_forward(&forward, nullptr), 0);
  EXPECT_FLOAT_EQ(per_row_[kLast], std::log(static_cast<float>(kWidth)));

  per_row_.fill(kLast, 1, 2);
  CrossEntropyBackward backward{};
  backward.logits = a_.get();
  backward.targets = targets.get();
  backward.log_sum = log_sum.get();
  backward.d_loss = per_row_.get();
  backward.rows = kRows;
  backward.width = kWidth;
  EXPECT_EQ(mythos_cuda_cross_entropy_backward(&backward, nullptr), 0);
  EXPECT_NEAR(a_[kRows * kWidth - 1], -2 + 2.0f / kWidth, 1e-5);
  EXPECT_NEAR(a_[kRows * kWidth - 2], 2.0f / kWidth, 1e-5);
}

TEST_F(CudaLargeIndex, MovedRows) {
  constexpr int64_t kChosen = 2;
  Sparse<int64_t> slot(kRows), place(kRows);
  slot.fill(kLast, 1, kChosen * kLast + 1);
  a_.fill(kLast * kWidth, kWidth, 7);
  MoeGather gather{};
  gather.from = a_.get();
  gather.slot = slot.get();
  gather.to = out_.get();
  gather.rows = kRows;
  gather.width = kWidth;
  gather.k = kChosen;
  emulation::run_only(dim3(kLast));
  EXPECT_EQ(mythos_cuda_moe_gather(&gather, nullptr), 0);
  EXPECT_FLOAT_EQ(out_[kRows * kWidth - 1], 7);

  place.fill(kRows - kChosen, kChosen, kLast);
  MoeCombine combine{};
  combine.from = a_.get();
  combine.place = place.get();
  combine.to = b_.get();
  combine.rows = kRows / kChosen;
  combine.width = kWidth;
  combine.k = kChosen;
  emulation::run_only(dim3(kRows / kChosen - 1));
  EXPECT_EQ(mythos_cuda_moe_combine(&combine, nullptr), 0);
  EXPECT_FLOAT_EQ(b_[kRows / kChosen * kWidth - 1], 14);
}

TEST_F(CudaLargeIndex, GroupedProducts) {
  constexpr int64_t kMany = 1 << 17, kColumns = (1 << 14) + 64, kTile = 64;
  static_assert(kMany * kColumns > int64_t{1} << 31);
  Sparse<int32_t> ends(129);
  ends.fill(0, 1, kMany);
  a_.fill(kMany - 1, 1, 2);
  b_.fill(kColumns - 1, 1, 3);
  const GroupedRows rows{a_.get(), b_.get(), out_.get(), ends.get(), 1, kMany,
                         1,        kColumns, 0,          kColumns,   1, {}};
  emulation::run_only(dim3(kMany / kTile - 1, kColumns / kTile - 1));
  EXPECT_EQ(mythos_cuda_grouped_rows(&rows, nullptr), 0);
  EXPECT_FLOAT_EQ(out_[kMany * kColumns - 1], 6);

  // The last of 129 experts has one row, the last one.
  constexpr int64_t kExperts = 129, kSize = 4096;
  static_assert(kExperts * kSize * kSize > int64_t{1} << 31);
  ends.fill(0, kExperts, kMany * 4 - 1);
  ends.fill(kExperts - 1, 1, kMany * 4);
  a_.fill(kMany * 4 * kSize - 1, 1, 4);
  b_.fill(kMany * 4 * kSize - 1, 1, 5);
  GroupedWeights weights{};
  weights.a = a_.get();
  weights.b = b_.get();
  weights.sum = out_.get();
  weights.ends = ends.get();
  weights.groups = kExperts;
  weights.m = weights.n = kSize;
  emulation::run_only(dim3(kSize / kTile - 1, kSize / kTile - 1, kExperts - 1));
  EXPECT_EQ(mythos_cuda_grouped_weights(&weights, nullptr), 0);
  EXPECT_FLOAT_EQ(out_[kExperts * kSize * kSize - 1], 20);

  GroupedAdd add{};
  Sparse<Bf16> product(kExperts * kSize * kSize);
  product.fill(kExperts * kSize * kSize - 1, 1, Bf16{0x3f80});  // 1
  add.product = product.get();
  add.sum = out_.get();
  add.ends = ends.get();
  add.groups = kExperts;
  add.size = kSize * kSize;
  add.adds = true;
  emulation::run_only(dim3(1023, kExperts - 1));
  EXPECT_EQ(mythos_cuda_grouped_add(&add, nullptr), 0);
  EXPECT_FLOAT_EQ(out_[kExperts * kSize * kSize - 1], 21);
}

}  // namespace
}  // namespace mythos
