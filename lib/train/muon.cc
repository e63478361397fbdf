#include "train/muon.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

namespace mythos {
namespace {

struct Quintic {
  double a, b, c;  // a·x + b·x³ + c·x⁵
};
// The optimal polynomials for [1e-3, 1], one for what each leaves to the next.
constexpr std::array<Quintic, 6> kPolarExpress = {
    {{8.28721201814563, -23.595886519098837, 17.300387312530933},
     {4.107059111542203, -2.9478499167379106, 0.5448431082926601},
     {3.9486908534822946, -2.908902115962949, 0.5518191394370137},
     {3.3184196573706015, -2.488488024314874, 0.51004894012372},
     {2.300652019954817, -1.6689039845747493, 0.4188073119525673},
     {1.891301407787398, -1.2679958271945868, 0.37680408948524835}}};
// Divides the inputs of all polynomials, so that rounding cannot leave the interval.
constexpr double kSafety = 1.01;

// The rows `first`…`first + rows` of every block of `block` rows of a tensor, as matrices [E,·,C].
struct MatrixPart {
  at::Tensor values;  // [E,n,block,C], a view
  int64_t first, rows;

  MatrixPart only(int64_t from, int64_t count) const {
    return {values.narrow(0, from, count), first, rows};
  }
  at::Tensor view() const { return values.narrow(2, first, rows); }
  int64_t matrices() const { return values.size(0); }
  int64_t all_rows() const { return values.size(1) * rows; }
  int64_t columns() const { return values.size(3); }
};

std::vector<MatrixPart> parts_of(const MatrixTensor& tensor) {
  const at::Tensor& t = tensor.values;
  const int64_t rows = t.size(-2), columns = t.size(-1);
  std::vector<int64_t> parts = tensor.parts;
  if (parts.empty()) parts = {rows};
  int64_t block = 0;
  for (const int64_t part : parts) block += part;
  TORCH_CHECK(rows % block == 0, "parts of ", block, " rows in ", rows);
  const at::Tensor values = t.view({t.dim() == 3 ? t.size(0) : 1, rows / block, block, columns});
  std::vector<MatrixPart> out;
  int64_t first = 0;
  for (const int64_t part : parts) {
    if (part > 0) out.push_back({values, first, part});
    first += part;
  }
  return out;
}

void orthogonalize_stack(const std::vector<MatrixPart>& parts) {
  const int64_t rows = parts[0].all_rows(), columns = parts[0].columns();
  std::vector<at::Tensor> pieces;
  for (const MatrixPart& part : parts) {
    pieces.push_back(part.view().reshape({part.matrices(), rows, columns}));
  }
  const double scale =
      std::sqrt(std::max(1.0, static_cast<double>(rows) / static_cast<double>(columns)));
  at::Tensor stack = at::cat(pieces);
  pieces.clear();
  const at::Tensor factors = polar_factors(std::move(stack)).mul_(scale);
  int64_t at = 0;
  for (const MatrixPart& part : parts) {
    const at::Tensor target = part.view();
    target.copy_(factors.narrow(0, at, part.matrices()).view(target.sizes()));
    at += part.matrices();
  }
}

}  // namespace

at::Tensor polar_factors(at::Tensor matrices) {
  const bool tall = matrices.size(1) > matrices.size(2);
  const at::ScalarType type = matrices.scalar_type();
  at::Tensor x = tall ? matrices.transpose(1, 2) : matrices;
  const at::Tensor norm = at::linalg_vector_norm(x, 2, at::IntArrayRef({1, 2}), /*keepdim=*/true);
  matrices.reset();
  x = x / (norm * kSafety).clamp_min(1e-30);
  if (!x.is_cpu()) x = x.to(at::kBFloat16);
  for (size_t i = 0; i < kPolarExpress.size(); ++i) {
    Quintic p = kPolarExpress[i];
    p.a /= kSafety;
    p.b /= std::pow(kSafety, 3);
    p.c /= std::pow(kSafety, 5);
    const at::Tensor gram = at::bmm(x, x.transpose(1, 2));
    // (b·G + c·G²)·X + a·X
    x = at::baddbmm(x, at::baddbmm(gram, gram, gram, p.b, p.c), x, p.a, 1);
  }
  if (tall) x = x.transpose(1, 2);
  return x.to(type).contiguous();
}

void orthogonalize(const std::vector<MatrixTensor>& tensors, int64_t stack_numbers) {
  std::map<std::pair<int64_t, int64_t>, std::vector<MatrixPart>> by_shape;
  for (const MatrixTensor& tensor : tensors) {
    for (const MatrixPart& part : parts_of(tensor)) {
      by_shape[{part.all_rows(), part.columns()}].push_back(part);
    }
  }
  for (const auto& entry : by_shape) {
    const int64_t numbers = entry.first.first * entry.first.second;
    const int64_t most = std::max<int64_t>(1, stack_numbers / numbers);
    std::vector<MatrixPart> stack;
    int64_t stacked = 0;
    for (const MatrixPart& part : entry.second) {
      for (int64_t from = 0; from < part.matrices();) {
        const int64_t count = std::min(part.matrices() - from, most - stacked);
        stack.push_back(part.only(from, count));
        from += count;
        stacked += count;
        if (stacked < most) continue;
        orthogonalize_stack(stack);
        stack.clear();
        stacked = 0;
      }
    }
    if (!stack.empty()) orthogonalize_stack(stack);
  }
}

}  // namespace mythos
