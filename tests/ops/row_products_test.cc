#include <ATen/ATen.h>
// Rounded matrices, and products and attention over few rows, against plain tensor operations.
#include "ops/linear/row_products.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace mythos {
namespace {

using at::Tensor;
using cpu::CachedRows;
using cpu::RowMatrices;
using cpu::RowMatrix;

constexpr int64_t kColumns[] = {1, 7, 24, 33, 257};

Tensor normal(at::IntArrayRef sizes, uint64_t seed = 5) {
  at::manual_seed(seed);
  return at::randn(sizes);
}

// |w| of the largest of each number's group, in w's shape.
Tensor largest_of_group(const Tensor& w) {
  Tensor out = at::empty_like(w);
  for (int64_t k = 0; k < w.size(-1); k += kWeightGroup) {
    const int64_t width = std::min(kWeightGroup, w.size(-1) - k);
    out.narrow(-1, k, width).copy_(w.narrow(-1, k, width).abs().amax(-1, true));
  }
  return out;
}

// A group's number that is largest by |·|, with its sign.
Tensor signed_largest(const Tensor& group) {
  return group.flatten()[group.abs().argmax()];
}

// The scale is rounded to bf16, away from zero.
constexpr double kScaleSlack = 1 + 0x1p-8 + 0x1p-8;

TEST(RoundedMatrix, Int8ErrorIsHalfAStepOf127) {
  for (const int64_t columns : kColumns) {
    const Tensor w = normal({3, 9, columns}) * normal({3, 9, 1}, 6).exp();
    const Matrix rounded = quantize(w, WeightFormat::int8);
    const Tensor bound = largest_of_group(w) * (kScaleSlack / 254);
    EXPECT_TRUE(((rounded.dense(at::kFloat) - w).abs() <= bound).all().item<bool>()) << columns;
  }
}

// The far end of the range is -8 and the near end 7: numbers with the sign of the group's largest
// are within half a step, the others within a whole one.
TEST(RoundedMatrix, Int4ErrorIsAStepOf8) {
  for (const int64_t columns : kColumns) {
    const Tensor w = normal({9, columns}) * normal({9, 1}, 6).exp();
    const Tensor error = (quantize(w, WeightFormat::int4).dense(at::kFloat) - w).abs();
    const Tensor step = largest_of_group(w) * (kScaleSlack / 8);
    EXPECT_TRUE((error <= step).all().item<bool>()) << columns;
    for (int64_t n = 0; n < 9; ++n) {
      for (int64_t k = 0; k < columns; k += kWeightGroup) {
        const Tensor group = w[n].narrow(0, k, std::min(kWeightGroup, columns - k));
        const Tensor alike = group * signed_largest(group) >= 0;
        const Tensor near = error[n].narrow(0, k, group.numel()) <= step[n][k] / 2;
        EXPECT_TRUE((near | alike.logical_not()).all().item<bool>()) << columns << " at " << k;
      }
    }
  }
}

TEST(RoundedMatrix, HoldsZerosExactlyAndOutliersApart) {
  Tensor w = at::zeros({2, 64});
  w[0][3] = 1000;
  w[0][40] = 0.001;
  for (const auto format : {WeightFormat::int8, WeightFormat::int4}) {
    const Tensor dense = quantize(w, format).dense(at::kFloat);
    EXPECT_TRUE(dense[1].eq(0).all().item<bool>());
    EXPECT_NEAR(dense[0][3].item<double>(), 1000, 10);
    EXPECT_NEAR(dense[0][40].item<double>(), 0.001, 1e-5);  // of another group
    EXPECT_EQ((dense != 0).sum().item<int64_t>(), 2);
  }
}

TEST(RoundedMatrix, TakesEightAndAHalfOrFourAndAHalfBits) {
  const Tensor w = normal({5, 96});
  EXPECT_EQ(quantize(w, WeightFormat::int8).size_bytes(), 5 * 96 * 17 / 16);
  EXPECT_EQ(quantize(w, WeightFormat::int4).size_bytes(), 5 * 96 * 9 / 16);
  EXPECT_EQ(Matrix(w).size_bytes(), 5 * 96 * 4);
  EXPECT_EQ(quantize(w, WeightFormat::plain).values.data_ptr(), w.data_ptr());
}

TEST(RoundedMatrix, AStackIsItsMatrices) {
  const Tensor w = normal({4, 5, 33});
  for (const auto format : {WeightFormat::plain, WeightFormat::int8, WeightFormat::int4}) {
    const Matrix stack = quantize(w, format);
    for (int64_t e = 0; e < 4; ++e) {
      const Tensor one = quantize(w[e].contiguous(), format).dense(at::kFloat);
      EXPECT_TRUE(stack[e].dense(at::kFloat).equal(one));
      EXPECT_TRUE(stack.dense(at::kFloat)[e].equal(one));
    }
    const Tensor x = normal({2, 33}, 8);
    const Tensor want = x.matmul(stack[1].dense(at::kFloat).t());
    EXPECT_TRUE(apply_linear(x, stack[1]).allclose(want, 1e-5, 1e-5));
  }
}

TEST(RoundedMatrix, RoundsBf16AsItsFp32) {
  const Tensor w = normal({5, 70}).to(at::kBFloat16);
  for (const auto format : {WeightFormat::int8, WeightFormat::int4}) {
    EXPECT_TRUE(quantize(w, format)
                    .dense(at::kFloat)
                    .equal(quantize(w.to(at::kFloat), format).dense(at::kFloat)));
  }
}

void expect_rounded_alike(const Tensor& w) {
  for (const auto format : {WeightFormat::int8, WeightFormat::int4}) {
    const Matrix found = quantize(w, format), want = quantize_reference(w, format);
    EXPECT_TRUE(found.scales.isnan().equal(want.scales.isnan()));
    EXPECT_TRUE(found.scales.nan_to_num(7).equal(want.scales.nan_to_num(7)));
    const Tensor finite =
        want.scales.isfinite().repeat_interleave(found.values.size(-1) / found.scales.size(-1), -1);
    EXPECT_TRUE(found.values.masked_select(finite).equal(want.values.masked_select(finite)));
  }
}

TEST(RoundedMatrix, TheKernelRoundsAsPlainOperationsDo) {
  for (const int64_t columns : kColumns) {
    for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
      expect_rounded_alike((normal({37, columns}) * normal({37, 1}, 6).exp()).to(type));
      expect_rounded_alike((normal({2, 5, columns}) * 1e-38).to(type));
    }
  }
  // Whole numbers: halves to be rounded, and groups whose largest has either sign first.
  expect_rounded_alike(at::randint(-4, 5, {64, 96}, at::kFloat));
  expect_rounded_alike(normal({96, 33}).t().contiguous());
}

TEST(RoundedMatrix, ANumberThatIsNotFiniteSpoilsItsGroupAlone) {
  Tensor w = normal({3, 96});
  w[0][5] = NAN;
  w[1][40] = INFINITY;
  w[2][95] = -INFINITY;
  w[2][66] = INFINITY;
  expect_rounded_alike(w);
  for (const auto format : {WeightFormat::int8, WeightFormat::int4}) {
    const Tensor finite = quantize(w, format).dense(at::kFloat).isfinite().view({3, 3, 32}).all(-1);
    EXPECT_TRUE(finite.equal(at::eye(3).eq(0))) << finite;
  }
}

struct Kind {
  const char* name;
  WeightFormat format;
  at::ScalarType type;
  friend std::ostream& operator<<(std::ostream& out, const Kind& kind) { return out << kind.name; }
};

// Rows of floats behind each other as the kernels take them.
std::vector<float*> pointers(const Tensor& rows) {
  std::vector<float*> out;
  for (int64_t i = 0; i < rows.size(0); ++i) out.push_back(rows[i].data_ptr<float>());
  return out;
}

Tensor run_products(const RowMatrix& w, int64_t begin, int64_t end, const Tensor& x) {
  const Tensor y = at::full({x.size(0), w.rows}, NAN);
  const auto from = pointers(x), to = pointers(y);
  cpu::row_products(w, begin, end, from.data(), x.size(0), to.data());
  return y;
}

class RowProducts : public testing::TestWithParam<Kind> {
 protected:
  Matrix matrix(at::IntArrayRef sizes) const {
    return quantize(normal(sizes).to(GetParam().type), GetParam().format);
  }
};

TEST_P(RowProducts, EqualPlainProducts) {
  for (const int64_t columns : kColumns) {
    const Matrix w = matrix({13, columns});
    const Tensor dense = w.dense(at::kFloat).to(at::kDouble);
    for (int64_t count = 1; count <= 9; ++count) {
      const Tensor x = normal({count, columns}, 8);
      const Tensor wide = x.to(at::kDouble);
      const Tensor error = (run_products(RowMatrix(w), 0, 13, x) - wide.matmul(dense.t())).abs();
      const Tensor bound = wide.abs().matmul(dense.abs().t()) * 1e-6 + 1e-12;
      EXPECT_TRUE((error <= bound).all().item<bool>()) << columns << " columns, " << count;
    }
  }
}

// A product has the same bits whatever is computed beside it.
TEST_P(RowProducts, DoNotDependOnTheirCompany) {
  for (const int64_t columns : kColumns) {
    const Matrix w = matrix({13, columns});
    const Tensor x = normal({9, columns}, 8);
    const Tensor whole = run_products(RowMatrix(w), 0, 13, x);
    for (int64_t count = 1; count < 9; ++count) {
      EXPECT_TRUE(run_products(RowMatrix(w), 0, 13, x.narrow(0, 9 - count, count))
                      .equal(whole.narrow(0, 9 - count, count)))
          << columns << " columns, " << count;
    }
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 1}, {3, 9}, {12, 13}, {4, 4}}) {
      const Tensor part = run_products(RowMatrix(w), begin, end, x);
      EXPECT_TRUE(part.slice(1, begin, end).equal(whole.slice(1, begin, end)));
      EXPECT_EQ(part.isnan().sum().item<int64_t>(), 9 * (13 - (end - begin)))
          << "writes nothing else";
    }
  }
}

// More rows than one piece of widened weights has, and fewer.
TEST_P(RowProducts, ServeProductsOfAnyNumberOfRows) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{13, 33}, {1500, 4096}}) {
    const Matrix w = matrix({rows, columns});
    const Tensor dense = w.dense(at::kFloat).to(at::kDouble);
    for (const int64_t count : {1, 4, 5, 19}) {
      const Tensor x = normal({1, count, columns}, 8);
      const Tensor y = apply_linear(x, w), wide = x.to(at::kDouble);
      ASSERT_EQ(y.sizes(), at::IntArrayRef({1, count, rows}));
      const Tensor bound = wide.abs().matmul(dense.abs().t()) * 1e-6 + 1e-12;
      EXPECT_TRUE(((y - wide.matmul(dense.t())).abs() <= bound).all().item<bool>())
          << rows << " by " << columns << ", " << count;
    }
  }
}

TEST_P(RowProducts, AStackIsItsMatrices) {
  const Matrix stack = matrix({4, 6, 33});
  const RowMatrices rows(stack);
  const Tensor x = normal({3, 33}, 8);
  for (int64_t e = 0; e < 4; ++e) {
    EXPECT_TRUE(run_products(rows[e], 0, 6, x).equal(run_products(RowMatrix(stack[e]), 0, 6, x)));
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, RowProducts,
                         testing::Values(Kind{"fp32", WeightFormat::plain, at::kFloat},
                                         Kind{"bf16", WeightFormat::plain, at::kBFloat16},
                                         Kind{"int8", WeightFormat::int8, at::kFloat},
                                         Kind{"int4", WeightFormat::int4, at::kFloat}),
                         [](const auto& info) { return info.param.name; });

TEST(ColumnProducts, EqualPlainProducts) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const int64_t columns : kColumns) {
      const Matrix w = normal({13, columns}).to(type);
      const Tensor x = normal({5}, 8), y = at::full({columns}, NAN);
      cpu::column_products(RowMatrix(w), 6, 11, x.data_ptr<float>(), y.data_ptr<float>());
      const Tensor want = x.matmul(w.dense(at::kFloat).narrow(0, 6, 5));
      EXPECT_TRUE(y.allclose(want, 1e-5, 1e-5)) << columns;
    }
  }
}

struct Layout {
  const char* name;
  std::vector<int64_t> widths;  // of the parts that share an int8 scale
  int64_t first, key_width, value_width, group, split;
  friend std::ostream& operator<<(std::ostream& out, const Layout& l) { return out << l.name; }
};

class Attend : public testing::TestWithParam<std::tuple<CachedRows::Kind, Layout>> {
 protected:
  static constexpr int64_t kTokens = 70;
  const Layout& layout() const { return std::get<1>(GetParam()); }
  CachedRows::Kind kind() const { return std::get<0>(GetParam()); }

  struct Store {
    Tensor exact, numbers, scales;
  };
  // `kTokens` random rows, stored one by one.
  Store store(uint64_t seed) const {
    const auto width = std::accumulate(layout().widths.begin(), layout().widths.end(), int64_t{0});
    const auto groups = static_cast<int64_t>(layout().widths.size());
    const at::ScalarType type = kind() == CachedRows::Kind::fp32   ? at::kFloat
                                : kind() == CachedRows::Kind::bf16 ? at::kBFloat16
                                                                   : at::kChar;
    Store out{normal({kTokens, width}, seed), at::zeros({kTokens, width}, type),
              at::zeros({kTokens, groups})};
    for (int64_t t = 0; t < kTokens; ++t) {
      cpu::store_row(out.exact[t].data_ptr<float>(), rows(out, 0, width), layout().widths.data(),
                     t);
    }
    return out;
  }
  CachedRows rows(const Store& store, int64_t first, int64_t width) const {
    CachedRows out;
    out.numbers = static_cast<const char*>(store.numbers.data_ptr());
    out.scales = store.scales.data_ptr<float>();
    out.kind = kind();
    out.stride = store.numbers.size(1);
    out.groups = store.scales.size(1);
    out.first = first;
    out.width = width;
    out.group = layout().group;
    out.split = std::min(width, layout().split);
    return out;
  }
  // What is stored, fp32 [kTokens,width].
  Tensor stored(const Store& store) const {
    const Tensor wide = store.numbers.to(at::kFloat);
    if (kind() != CachedRows::Kind::int8) return wide;
    const auto widths = at::tensor(layout().widths);
    return wide * store.scales.repeat_interleave(widths, 1);
  }
};

TEST_P(Attend, StoresWithinTheTypesError) {
  const Store it = store(3);
  const Tensor error = (stored(it) - it.exact).abs();
  if (kind() != CachedRows::Kind::int8) {
    const double bound = kind() == CachedRows::Kind::fp32 ? 0 : 0x1p-8;
    EXPECT_TRUE((error <= it.exact.abs() * bound).all().item<bool>());
    return;
  }
  for (int64_t first = 0, group = 0; group < it.scales.size(1); ++group) {
    const int64_t width = layout().widths[static_cast<size_t>(group)];
    const Tensor largest = it.exact.narrow(1, first, width).abs().amax(1, true);
    EXPECT_TRUE((error.narrow(1, first, width) <= largest * (1.001 / 254)).all().item<bool>());
    first += width;
  }
}

TEST_P(Attend, EqualsSoftmaxOfAllScores) {
  const Store a = store(3), b = store(4);
  const Layout& l = layout();
  const Tensor keys = stored(a).narrow(1, l.first, l.key_width).to(at::kDouble);
  const Tensor values = stored(b).narrow(1, l.first, l.value_width).to(at::kDouble);
  for (const int64_t heads : {1, 3, 8}) {
    const Tensor q = normal({heads, l.key_width}, 9);
    const Tensor out = at::full({heads, l.value_width}, NAN);
    std::vector<float> work(
        static_cast<size_t>(cpu::attention_work_floats(heads, l.key_width, l.value_width)), NAN);
    for (const int64_t tokens : {1, 2, 31, 32, 33, 70}) {
      cpu::attend(q.data_ptr<float>(), heads, rows(a, l.first, l.key_width),
                  rows(b, l.first, l.value_width), tokens, out.data_ptr<float>(), work.data());
      const Tensor share = q.to(at::kDouble).matmul(keys.narrow(0, 0, tokens).t()).softmax(-1);
      const Tensor want = share.matmul(values.narrow(0, 0, tokens));
      EXPECT_LE((out - want).abs().max().item<double>(), 1e-5) << heads << ", " << tokens;
    }
  }
}

// A score far above the others, in a later block, must not overflow nor lose what came before.
TEST_P(Attend, HoldsLargeScores) {
  const Store it = store(3);
  const Layout& l = layout();
  const Tensor keys = stored(it).narrow(1, l.first, l.key_width).to(at::kDouble);
  const Tensor q = (keys[40] * 30).to(at::kFloat).contiguous();
  const Tensor out = at::empty({l.value_width});
  std::vector<float> work(
      static_cast<size_t>(cpu::attention_work_floats(1, l.key_width, l.value_width)));
  cpu::attend(q.data_ptr<float>(), 1, rows(it, l.first, l.key_width),
              rows(it, l.first, l.value_width), kTokens, out.data_ptr<float>(), work.data());
  const Tensor share = q.to(at::kDouble).matmul(keys.t()).softmax(-1);
  const Tensor want = share.matmul(stored(it).narrow(1, l.first, l.value_width).to(at::kDouble));
  EXPECT_LE((out - want).abs().max().item<double>(), 1e-4);
}

std::string attend_name(const testing::TestParamInfo<std::tuple<CachedRows::Kind, Layout>>& info) {
  const char* kinds[] = {"fp32", "bf16", "int8"};
  return std::string(kinds[static_cast<int>(std::get<0>(info.param))]) + "_" +
         std::get<1>(info.param).name;
}

INSTANTIATE_TEST_SUITE_P(
    Layouts, Attend,
    testing::Combine(testing::Values(CachedRows::Kind::fp32, CachedRows::Kind::bf16,
                                     CachedRows::Kind::int8),
                     // A latent with its rotated key, and the second of three heads.
                     testing::Values(Layout{"mla", {19, 6}, 0, 25, 19, 0, 19},
                                     Layout{"gqa", {7, 7, 7}, 7, 7, 7, 1, 7})),
    attend_name);

}  // namespace
}  // namespace mythos
