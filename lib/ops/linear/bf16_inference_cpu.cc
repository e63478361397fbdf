#include "ops/linear/bf16_inference_cpu.h"

#include <atomic>

#include "device/cpu_simd.h"
#include "ops/linear/bf16_products.h"
#include "ops/linear/row_products.h"
#include "ops/moe/moe_cpu.h"

namespace mythos::cpu {
namespace {

using at::Tensor;
using c10::BFloat16;

constexpr int64_t kColumns = 64;  // of a product at a time
constexpr int64_t kTiles = 16;    // of rows at a time: their results stay in the first-level cache
constexpr int64_t kHidden = kPairs;  // hidden columns at a time, each with its gate and its value
static_assert(2 * kHidden == kColumns);
constexpr int64_t kFewRows = 16;    // with AMX a library is faster when there are more,
constexpr int64_t kManyRows = 256;  // and without it when there are more than these

// to[i] = silu(gate[i]) · up[i] · scale.
MYTHOS_CLONES void swiglu_piece(const float* gate, const float* up, float scale, BFloat16* to) {
#pragma omp simd
  for (int64_t i = 0; i < kHidden; ++i) {
    store(to + i, gate[i] * sigmoid(gate[i]) * up[i] * scale);
  }
}

MYTHOS_CLONES void round_piece(const float* from, int64_t count, BFloat16* to) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) store(to + i, from[i]);
}

// Memory of one thread.
struct Workspace {
  std::vector<float> results = std::vector<float>(kTiles * kTileRows * kColumns);
  std::vector<BFloat16> expanded;
};

// Rows begin … begin+count-1 of a bf16, int8 or int4 matrix as bf16.
const BFloat16* bf16_rows(const RowMatrix& w, int64_t begin, int64_t count, Workspace& work,
                          int64_t place = 0) {
  if (w.kind == RowMatrix::Kind::bf16) {
    return reinterpret_cast<const BFloat16*>(w.values + begin * w.row_bytes);
  }
  work.expanded.resize(static_cast<size_t>(kColumns * w.columns));
  BFloat16* const to = work.expanded.data() + place * w.columns;
  expand_rows(w, begin, begin + count, to - begin * w.columns);
  return to;
}

// f(piece, workspace) for each of `pieces`, by whichever thread is free.
template <class F>
void share_out(int64_t pieces, const F& f) {
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) {
    Workspace work;
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < pieces;) f(i, work);
  });
}

// f(expert, piece, workspace) for every expert with rows and each of its pieces.
template <class F>
void for_experts(const Routing& routing, int64_t pieces, const F& f) {
  std::vector<int64_t> used;
  for (int64_t e = 0; e + 1 < static_cast<int64_t>(routing.begin.size()); ++e) {
    if (routing.count(e) > 0) used.push_back(e);
  }
  share_out(static_cast<int64_t>(used.size()) * pieces, [&](int64_t i, Workspace& work) {
    f(used[static_cast<size_t>(i / pieces)], i % pieces, work);
  });
}

// Copies columns k … k+31 of rows of x into place; row m of `to` is row token[m] of x, or m itself.
void pack(const BFloat16* x, const int64_t* token, int64_t k, const TiledRows& to) {
  to.for_rows(k, 0, to.tiles(), [&](int64_t m, BFloat16* at) {
    std::copy_n(x + (token ? token[m] : m) * to.columns() + k, kPairs, at);
  });
}

// f(first, last) for pieces of the tiles of x.
template <class F>
void for_tiles(const TiledRows& x, const F& f) {
  for (int64_t t = 0; t < x.tiles(); t += kTiles) f(t, std::min(t + kTiles, x.tiles()));
}

// y[m][n] of kColumns columns n from `begin` on, in bf16: y [rows of x, rows of w].
void rounded_products(const RowMatrix& w, int64_t begin, const TiledRows& x, Workspace& work,
                      BFloat16* y) {
  const int64_t count = std::min(kColumns, w.rows - begin);
  const BFloat16* rows = bf16_rows(w, begin, count, work);
  for_tiles(x, [&](int64_t first, int64_t last) {
    bf16_products(rows, count, x, first, last, work.results.data(), kColumns);
    for (int64_t m = x.begin(first); m < x.begin(last); ++m) {
      round_piece(work.results.data() + (m - x.begin(first)) * kColumns, count,
                  y + m * w.rows + begin);
    }
  });
}

bool holds_bf16(const Matrix& w) {
  return (!w.is_plain() || w.values.scalar_type() == at::kBFloat16) && w.values.is_contiguous() &&
         w.columns % kPairs == 0;
}

}  // namespace

bool linear_bf16_serves(const Tensor& x, const Matrix& w) {
  return has_bf16_products() && x.scalar_type() == at::kBFloat16 && holds_bf16(w) &&
         x.size(0) <= (has_amx() ? kFewRows : kManyRows);
}

Tensor linear_bf16(const Tensor& x, const Matrix& matrix) {
  const RowMatrix w(matrix);
  const Tensor packed = x.new_empty(x.sizes()), rows = x.contiguous();
  const TiledRows in(packed.data_ptr<BFloat16>(), x.size(0), x.size(1));
  at::parallel_for(0, x.size(1) / kPairs, 8, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) pack(rows.data_ptr<BFloat16>(), nullptr, k * kPairs, in);
  });
  const Tensor out = x.new_empty({x.size(0), w.rows});
  share_out((w.rows + kColumns - 1) / kColumns, [&](int64_t piece, Workspace& work) {
    rounded_products(w, piece * kColumns, in, work, out.data_ptr<BFloat16>());
  });
  return out;
}

bool moe_bf16_serves(const Tensor& x, const Tensor& experts, const Matrix& gate_up,
                     const Matrix& down) {
  const bool few = experts.numel() <= kFewRows * gate_up.values.size(0);
  return has_bf16_products() && (few || !has_amx()) && x.scalar_type() == at::kBFloat16 &&
         holds_bf16(gate_up) && holds_bf16(down);
}

Tensor moe_bf16(const Tensor& x, const Tensor& experts, const Tensor& weights,
                const Matrix& gate_up_stack, const Matrix& down_stack) {
  const RowMatrices gate_up(gate_up_stack), down(down_stack);
  const int64_t width = gate_up_stack.columns, hidden = down_stack.columns;
  const int64_t experts_all = gate_up_stack.values.size(0);
  const Routing routing = route(experts, experts_all, 1);
  const Tensor scale = gather_weights(weights.contiguous(), routing);
  const int64_t* token = routing.token.data_ptr<int64_t>();
  const float* factor = scale.data_ptr<float>();
  const int64_t rows = routing.begin.back();
  const Tensor packed = x.new_empty({2, rows * std::max(width, hidden)});
  BFloat16* const inputs = packed[0].data_ptr<BFloat16>();
  BFloat16* const acts = packed[1].data_ptr<BFloat16>();
  const auto part = [&](BFloat16* values, int64_t e, int64_t columns) {
    return TiledRows(values + routing.begin[static_cast<size_t>(e)] * columns, routing.count(e),
                     columns);
  };
  const Tensor x_rows = x.contiguous();
  const BFloat16* const from = x_rows.data_ptr<BFloat16>();
  at::parallel_for(0, width / kPairs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t e = 0; e < experts_all; ++e) {
      const TiledRows to = part(inputs, e, width);
      const int64_t* tokens = token + routing.begin[static_cast<size_t>(e)];
      for (int64_t k = begin * kPairs; k < end * kPairs; k += kPairs) {
        pack(from, tokens, k, to);
      }
    }
  });
  for_experts(routing, hidden / kHidden, [&](int64_t e, int64_t piece, Workspace& work) {
    const int64_t begin = piece * kHidden;
    const TiledRows in = part(inputs, e, width), act = part(acts, e, hidden);
    const float* factors = factor + routing.begin[static_cast<size_t>(e)];
    const BFloat16* gate = bf16_rows(gate_up[e], begin, kHidden, work);
    const BFloat16* up = bf16_rows(gate_up[e], hidden + begin, kHidden, work, kHidden);
    float* const results = work.results.data();
    for_tiles(in, [&](int64_t first, int64_t last) {
      bf16_products(gate, kHidden, in, first, last, results, kColumns);
      bf16_products(up, kHidden, in, first, last, results + kHidden, kColumns);
      act.for_rows(begin, first, last, [&](int64_t m, BFloat16* to) {
        const float* row = results + (m - in.begin(first)) * kColumns;
        swiglu_piece(row, row + kHidden, factors[m], to);
      });
    });
  });
  const Tensor out = x.new_empty({rows, width});
  BFloat16* const to = out.data_ptr<BFloat16>();
  const int64_t pieces = (width + kColumns - 1) / kColumns;
  for_experts(routing, pieces, [&](int64_t e, int64_t piece, Workspace& work) {
    rounded_products(down[e], piece * kColumns, part(acts, e, hidden), work,
                     to + routing.begin[static_cast<size_t>(e)] * width);
  });
  std::vector<Tensor> parts(static_cast<size_t>(experts_all));
  for (int64_t e = 0; e < experts_all; ++e) {
    if (routing.count(e) > 0) parts[static_cast<size_t>(e)] = routing.part(out, e);
  }
  return combine_rows(parts, routing, x.options(), width);
}

}  // namespace mythos::cpu
