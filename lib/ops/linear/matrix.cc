#include "ops/linear/matrix.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "ops/linear/round_rows_cpu.h"
#include "ops/linear/row_products.h"

namespace mythos {
namespace {

using at::Tensor;

// [...,N,K] → groups [...,N,K'/32,32] fp32, filled up with zeros.
Tensor in_groups(const Tensor& w) {
  const int64_t missing = (kWeightGroup - w.size(-1) % kWeightGroup) % kWeightGroup;
  return at::constant_pad_nd(w.to(at::kFloat), {0, missing}).unflatten(-1, {-1, kWeightGroup});
}

// w [M,K] → values [M,·] and scales [M,G].
void round_rows_reference(const Tensor& w, WeightFormat format, const Tensor& values,
                          const Tensor& scales) {
  const Tensor groups = in_groups(w);  // [M,G,32]
  const Tensor largest = groups.gather(-1, groups.abs().argmax(-1, true));
  // The largest of a group becomes -127 or -8, the far end of the range. Away from zero when
  // rounded to bf16, so that it stays inside.
  const double steps = format == WeightFormat::int8 ? 127.0 : 8.0;
  const Tensor scale = (largest * (-(1.0 + 0x1p-8) / steps)).to(at::kBFloat16);
  const Tensor wide = scale.to(at::kFloat);
  const Tensor divisor = at::where(wide.eq(0.0), at::ones_like(wide), wide);
  scales.copy_(scale.squeeze(-1));
  if (format == WeightFormat::int8) {
    values.copy_((groups / divisor).round().clamp(-127.0, 127.0).flatten(-2));
    return;
  }
  const Tensor halves = ((groups / divisor).round().clamp(-8.0, 7.0) + 8).to(at::kByte);
  const Tensor low = halves.narrow(-1, 0, kWeightGroup / 2);
  const Tensor high = halves.narrow(-1, kWeightGroup / 2, kWeightGroup / 2);
  values.copy_(low.bitwise_or(high.bitwise_left_shift(4)).flatten(-2));
}

// On the CPU: [...,N,K] in one pass.
Tensor expanded(const Matrix& matrix, at::ScalarType type) {
  std::vector<int64_t> shape = matrix.values.sizes().vec();
  shape.back() = matrix.columns;
  const Tensor out = at::empty(shape, matrix.values.options().dtype(type));
  Matrix flat = matrix;
  flat.values = matrix.values.flatten(0, -2);
  flat.scales = matrix.scales.flatten(0, -2);
  const cpu::RowMatrix rows(flat);
  at::parallel_for(0, rows.rows, 64, [&](int64_t begin, int64_t end) {
    if (type == at::kFloat)
      cpu::expand_rows(rows, begin, end, out.data_ptr<float>());
    else
      cpu::expand_rows(rows, begin, end, out.data_ptr<at::BFloat16>());
  });
  return out;
}

// f(first row, rows [M,K]) over w [...,K]. In pieces: the temporaries of a large model's experts
// would be several times the model.
template <class F>
void for_pieces_of(const Tensor& w, const RowsRead& read, const F& f) {
  const Tensor rows = w.detach().reshape({-1, w.size(-1)});
  const int64_t step = std::max<int64_t>(1, (int64_t{1} << 22) / rows.size(1));
  for (int64_t begin = 0; begin < rows.size(0); begin += step) {
    const Tensor piece = rows.narrow(0, begin, std::min(step, rows.size(0) - begin));
    f(begin, piece);
    if (read) read(piece);
  }
}

}  // namespace

Matrix Matrix::operator[](int64_t expert) const {
  Matrix out = *this;
  out.values = values[expert];
  if (scales.defined()) out.scales = scales[expert];
  return out;
}

Tensor Matrix::dense(at::ScalarType type) const {
  if (is_plain()) return values.to(type);
  if (values.is_cpu()) return expanded(*this, type);
  Tensor whole = values;
  if (format == WeightFormat::int4) {
    const Tensor bytes = values.unflatten(-1, {-1, kWeightGroup / 2});
    whole = at::cat({bytes.bitwise_and(15), bytes.bitwise_right_shift(4)}, -1).flatten(-2);
    whole = whole.to(at::kChar) - 8;
  }
  const Tensor groups = whole.unflatten(-1, {-1, kWeightGroup});
  const Tensor wide = groups.to(type) * scales.to(type).unsqueeze(-1);
  return wide.flatten(-2).narrow(-1, 0, columns);
}

int64_t Matrix::size_bytes() const {
  return static_cast<int64_t>(values.nbytes() + (scales.defined() ? scales.nbytes() : 0));
}

namespace {

// A rounded matrix of w's shape, whose numbers are undefined.
Matrix empty_rounded(const Tensor& w, WeightFormat format) {
  const int64_t columns = w.size(-1), groups = (columns + kWeightGroup - 1) / kWeightGroup;
  const int64_t row_bytes =
      groups * (format == WeightFormat::int8 ? kWeightGroup : kWeightGroup / 2);
  std::vector<int64_t> shape = w.sizes().vec();
  Matrix out;
  out.format = format;
  out.columns = columns;
  shape.back() = groups;
  out.scales = at::empty(shape, w.options().dtype(at::kBFloat16));
  shape.back() = row_bytes;
  out.values =
      at::empty(shape, w.options().dtype(format == WeightFormat::int8 ? at::kChar : at::kByte));
  return out;
}

}  // namespace

Matrix quantize(const Tensor& w, WeightFormat format, const RowsRead& read) {
  if (format == WeightFormat::plain) return w;
  const Matrix out = empty_rounded(w, format);
  const Tensor all_values = out.values.flatten(0, -2), all_scales = out.scales.flatten(0, -2);
  for_pieces_of(w, read, [&](int64_t begin, const Tensor& rows) {
    const Tensor values = all_values.narrow(0, begin, rows.size(0));
    const Tensor scales = all_scales.narrow(0, begin, rows.size(0));
    if (cpu::round_rows_serves(rows))
      cpu::round_rows(rows, format, values, scales);
    else
      round_rows_reference(rows, format, values, scales);
  });
  return out;
}

Matrix quantize_reference(const Tensor& w, WeightFormat format) {
  if (format == WeightFormat::plain) return w;
  const Matrix out = empty_rounded(w, format);
  round_rows_reference(w.detach().reshape({-1, w.size(-1)}), format, out.values.flatten(0, -2),
                       out.scales.flatten(0, -2));
  return out;
}

Tensor cast(const Tensor& w, at::ScalarType type, const RowsRead& read) {
  if (w.scalar_type() == type) return w;
  const Tensor out = at::empty(w.sizes(), w.options().dtype(type).requires_grad(false));
  for_pieces_of(w, read, [&](int64_t begin, const Tensor& rows) {
    out.view({-1, w.size(-1)}).narrow(0, begin, rows.size(0)).copy_(rows);
  });
  return out;
}

}  // namespace mythos
