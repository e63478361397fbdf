#pragma once
#include <c10/util/BFloat16.h>

#include <cstdint>

#include "device/cpu_features.h"

// Products of bf16 rows on CPUs with has_bf16_products(), with the weights as they lie in memory.
// They are for few rows, for which a library's reordering of the weights would cost more than the
// product.
namespace mythos::cpu {

constexpr int64_t kPairs = 32;  // columns of one instruction
constexpr int64_t kTileRows = 6;

// The rows of x [count,columns] in the layout of bf16_products(): in tiles of at most six rows,
// each tile as [columns/32][rows of the tile][32]. columns is a multiple of 32.
class TiledRows {
 public:
  TiledRows(c10::BFloat16* values, int64_t count, int64_t columns)
      : values_(values),
        count_(count),
        columns_(columns),
        tiles_((count + kTileRows - 1) / kTileRows) {}
  int64_t columns() const { return columns_; }
  int64_t tiles() const { return tiles_; }
  int64_t begin(int64_t tile) const { return count_ * tile / tiles_; }
  const c10::BFloat16* tile(int64_t t) const { return values_ + begin(t) * columns_; }
  // Calls f(row, its columns k … k+31) for every row of the tiles first … last-1.
  template <class F>
  void for_rows(int64_t k, int64_t first, int64_t last, const F& f) const {
    for (int64_t t = first; t < last; ++t) {
      const int64_t row = begin(t), rows = begin(t + 1) - row;
      for (int64_t m = 0; m < rows; ++m) {
        f(row + m, values_ + row * columns_ + k * rows + m * kPairs);
      }
    }
  }

 private:
  c10::BFloat16* values_;
  int64_t count_, columns_, tiles_;
};

// y[m][n] = Σ_k x[m][k] w[n][k] in fp32 sums, for n < rows and the rows m of x's tiles first …
// last-1, of which y[0] is the first. w [rows,columns] contiguous; y has rows of y_stride. No
// result depends on the rows beside it.
void bf16_products(const c10::BFloat16* w, int64_t rows, const TiledRows& x, int64_t first,
                   int64_t last, float* y, int64_t y_stride);

// Multiplies groups of 32 rounded weights (ops/linear/matrix.h) by their scales, bf16 → to
// [groups][32].
void expand_int8(const int8_t* values, const uint16_t* scales, int64_t groups, c10::BFloat16* to);
void expand_int4(const uint8_t* values, const uint16_t* scales, int64_t groups, c10::BFloat16* to);

}  // namespace mythos::cpu
