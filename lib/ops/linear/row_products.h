#pragma once
#include <cstdint>

#include "config/model_config.h"
#include "ops/linear/matrix.h"

// Serial pieces of work on few rows, for code that itself shares them out over a Team; their speed
// is bound by reading the weights once. Activations are fp32. No result depends on which other rows
// are computed beside it, nor on how columns are shared out.
namespace mythos::cpu {

// The rows of a weight matrix in memory.
struct RowMatrix {
  enum class Kind { fp32, bf16, int8, int4 };
  const char* values = nullptr;
  const uint16_t* scales = nullptr;  // bf16, columns/kWeightGroup for each row
  Kind kind = Kind::fp32;
  int64_t rows = 0, columns = 0;
  int64_t row_bytes = 0, row_scales = 0;

  RowMatrix() = default;
  // `matrix` must be contiguous and outlive this object.
  explicit RowMatrix(const Matrix& matrix);
  RowMatrix(const float* rows_, int64_t count, int64_t columns_, int64_t stride);
  bool defined() const { return values != nullptr; }
};

// A stack of row matrices, [E,N,K].
struct RowMatrices {
  RowMatrix first;
  int64_t stride_bytes = 0, stride_scales = 0;

  RowMatrices() = default;
  explicit RowMatrices(const Matrix& stack);
  RowMatrix operator[](int64_t index) const;
};

// y[m][n] = Σ_k x[m][k] w[n][k] for rows n = begin … end-1 of w and m < count.
void row_products(const RowMatrix& w, int64_t begin, int64_t end, const float* const* x,
                  int64_t count, float* const* y);

// Expands rows begin … end-1 of an int8 or int4 matrix to fp32 or bf16 [rows,columns], or those of
// a bf16 matrix to fp32.
void expand_rows(const RowMatrix& w, int64_t begin, int64_t end, float* to);
void expand_rows(const RowMatrix& w, int64_t begin, int64_t end, c10::BFloat16* to);

// y[k] = Σ_n x[n-begin] w[n][k] over rows n = begin … end-1 of a plain matrix.
void column_products(const RowMatrix& w, int64_t begin, int64_t end, const float* x, float* y);

// The keys or values of consecutive tokens as a cache stores them.
struct CachedRows {
  // int4: two columns in a byte, the first in the low bits, 8 more than their multiple of the
  // scale. The columns of a group begin with a byte and with a scale; each scale is of kWeightGroup
  // columns.
  enum class Kind { fp32, bf16, int8, int4 };
  const char* numbers = nullptr;                // `stride` numbers (int4: bytes) for each token
  const float* scales = nullptr;                // int8: `groups` scales for each token
  const c10::BFloat16* small_scales = nullptr;  // int4: those
  Kind kind = Kind::fp32;
  int64_t stride = 0, groups = 0;
  int64_t first = 0, width = 0;  // the columns that are read; int4: `first` counts bytes
  int64_t group = 0, split = 0;  // int8 and int4: their first `split` columns have the scales from
                                 // `group` on, the rest, another group, those after
};

// Attention of `heads` queries of one token over `tokens` tokens: q [heads][keys.width] (already
// scaled) → out [heads][values.width]; online softmax in fp32 over blocks of tokens (Milakov and
// Gimelshein 2018). work: attention_work_floats() floats.
void attend(const float* q, int64_t heads, const CachedRows& keys, const CachedRows& values,
            int64_t tokens, float* out, float* work);
int64_t attention_work_floats(int64_t heads, int64_t key_width, int64_t value_width);
// Writes x [width] as token `token` of a cache; int8 and int4 with the scales of its groups,
// `widths` wide.
void store_row(const float* x, const CachedRows& to, const int64_t* widths, int64_t token);
// The columns that are meant of tokens begin … end-1, [end-begin, rows.width] fp32.
void read_rows(const CachedRows& rows, int64_t begin, int64_t end, float* to);

// x / sqrt(mean x² + eps) ⊙ weight → y.
void norm_row(const float* x, const float* weight, int64_t width, double eps, float* y);
// gate ← silu(gate) ⊙ up.
void swiglu_row(float* gate, const float* up, int64_t width);
// Rotates pairs of channels; cos and sin [width/2].
void rope_row(float* x, const float* cos, const float* sin, int64_t width, RopePairing pairing);
// y[i] += a·x[i].
void add_scaled(float* y, float a, const float* x, int64_t width);
float dot(const float* x, const float* y, int64_t width);

}  // namespace mythos::cpu
