#include "ops/attention/attention_cpu.h"

#include <algorithm>
#include <vector>

#include "device/cpu_simd.h"

// Each task is one sequence and one key head. Keys and values are unpacked to fp32 once, padded to
// whole vectors; then blocks of query rows are multiplied with all the keys that they may see.
namespace mythos::cpu {
namespace {

using c10::BFloat16;

constexpr int64_t kVector = 16;  // floats
constexpr int64_t kRows = 32;    // query rows of a block

using Vector = float __attribute__((vector_size(64), aligned(4), may_alias));

constexpr int64_t padded(int64_t n) {
  return (n + kVector - 1) / kVector * kVector;
}

// C[m][n] (+)= Σ_k A[m·a_row + k·a_col] · B[k·ldb + n] for M rows and W vectors of n.
template <int M, int W>
MYTHOS_INLINE void multiply_tile(const float* a, int64_t a_row, int64_t a_col, const float* b,
                                 int64_t ldb, int64_t depth, float* c, int64_t ldc, bool add) {
  Vector sum[M][W];
  for (int m = 0; m < M; ++m) {
    for (int w = 0; w < W; ++w) {
      if (add)
        sum[m][w] = *reinterpret_cast<const Vector*>(c + m * ldc + w * kVector);
      else
        sum[m][w] = Vector{};
    }
  }
  for (int64_t k = 0; k < depth; ++k) {
    Vector right[W];
    for (int w = 0; w < W; ++w) {
      right[w] = *reinterpret_cast<const Vector*>(b + k * ldb + w * kVector);
    }
    for (int m = 0; m < M; ++m) {
      const float left = a[m * a_row + k * a_col];
      for (int w = 0; w < W; ++w) sum[m][w] += left * right[w];
    }
  }
  for (int m = 0; m < M; ++m) {
    for (int w = 0; w < W; ++w) *reinterpret_cast<Vector*>(c + m * ldc + w * kVector) = sum[m][w];
  }
}

template <int M>
MYTHOS_INLINE void multiply_rows(const float* a, int64_t a_row, int64_t a_col, const float* b,
                                 int64_t ldb, int64_t depth, float* c, int64_t ldc, int64_t columns,
                                 bool add) {
  int64_t n = 0;
  for (; n + 2 * kVector <= columns; n += 2 * kVector) {
    multiply_tile<M, 2>(a, a_row, a_col, b + n, ldb, depth, c + n, ldc, add);
  }
  if (n < columns) multiply_tile<M, 1>(a, a_row, a_col, b + n, ldb, depth, c + n, ldc, add);
}

// The product for any number of rows; columns is a multiple of kVector. Compiled once for all that
// call it: as a part of each of them it would be half a minute of compiling.
MYTHOS_CLONES void multiply(const float* a, int64_t a_row, int64_t a_col, const float* b,
                            int64_t ldb, int64_t depth, float* c, int64_t ldc, int64_t rows,
                            int64_t columns, bool add) {
  int64_t m = 0;
  for (; m + 8 <= rows; m += 8) {
    multiply_rows<8>(a + m * a_row, a_row, a_col, b, ldb, depth, c + m * ldc, ldc, columns, add);
  }
  for (; m < rows; ++m) {
    multiply_rows<1>(a + m * a_row, a_row, a_col, b, ldb, depth, c + m * ldc, ldc, columns, add);
  }
}

template <class T>
MYTHOS_INLINE void unpack(const T* from, int64_t stride, int64_t rows, int64_t width, float* to) {
  const int64_t wide = padded(width);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < width; ++i) to[r * wide + i] = load(from[r * stride + i]);
    for (int64_t i = width; i < wide; ++i) to[r * wide + i] = 0;
  }
}

// Columns of `rows` rows become rows of padded(rows) columns; the padding is 0. A vector of rows at
// a time: single numbers stored `wide` apart would fall on the same few lines of the cache.
template <class T>
MYTHOS_INLINE void unpack_transposed(const T* from, int64_t stride, int64_t rows, int64_t width,
                                     float* to) {
  const int64_t wide = padded(rows);
  for (int64_t r = 0; r < wide; r += kVector) {
    const int64_t count = std::min(kVector, rows - r);
    const T* block = from + r * stride;
    for (int64_t i = 0; i < width; ++i) {
      float column[kVector] = {};
      for (int64_t j = 0; j < count; ++j) column[j] = load(block[j * stride + i]);
      std::memcpy(to + i * wide + r, column, sizeof column);
    }
  }
}

// Sizes and strides of one call, and where one head's rows begin.
template <class T>
struct View {
  T* data;
  int64_t batch, position, head;
  explicit View(const at::Tensor& t)
      : data(t.data_ptr<T>()), batch(t.stride(0)), position(t.stride(1)), head(t.stride(2)) {}
  // Packed rows [1,N,…]: the sequences lie one behind the other.
  View of_rows() const {
    View view = *this;
    view.batch = 0;
    return view;
  }
  T* at(int64_t b, int64_t s, int64_t h) const {
    return data + b * batch + s * position + h * head;
  }
};

struct Shape {
  int64_t B, S, P, H, K, d, dv;
  float scale;
  const int32_t* first_key;            // of each row, or null
  const PackedRows* packed = nullptr;  // null: rows 0 … S-1 of every sequence
  const int32_t* positions = nullptr;  // of packed rows
  Shape(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& first_key)
      : B(q.size(0)),
        S(q.size(1)),
        P(k.size(1)),
        H(q.size(2)),
        K(k.size(2)),
        d(q.size(3)),
        dv(v.size(3)),
        scale(1.0f / std::sqrt(static_cast<float>(d))),
        first_key(first_key.defined() ? first_key.data_ptr<int32_t>() : nullptr) {}
  int64_t group() const { return H / K; }
  // Rows of a sequence, from row begin(b) of q; its row s is at index(b, s) of first_key and
  // positions.
  int64_t begin(int64_t b) const { return packed ? packed->begins[b] : 0; }
  int64_t rows(int64_t b) const { return packed ? packed->begins[b + 1] - begin(b) : S; }
  int64_t index(int64_t b, int64_t s) const { return (packed ? begin(b) : b * S) + s; }
  // Query s of sequence b sees keys first(b, s) … visible(b, s)-1.
  int64_t visible(int64_t b, int64_t s) const {
    return packed ? positions[index(b, s)] + 1 : P - S + s + 1;
  }
  int64_t first(int64_t b, int64_t s) const { return first_key ? first_key[index(b, s)] : 0; }
  // The first key that any of a block's queries sees, at the begin of a vector.
  int64_t block_first(int64_t b, int64_t begin, int64_t rows) const {
    if (!first_key) return 0;
    const int32_t* firsts = first_key + index(b, begin);
    return *std::min_element(firsts, firsts + rows) / kVector * kVector;
  }
};

constexpr float kHidden = -1e30f;  // score of a key that a query does not see

MYTHOS_INLINE void fill_hidden(float* row, int64_t left, int64_t first, int64_t seen,
                               int64_t columns, float value) {
  std::fill(row + left, row + first, value);
  std::fill(row + seen, row + columns, value);
}

// Work space of one thread.
struct Space {
  std::vector<float> k, kt, v, vt, q, d_out, scores, d_scores, out, d_k, d_v;
  explicit Space(const Shape& c, bool backward) {
    const int64_t keys = padded(c.P), d = padded(c.d), dv = padded(c.dv);
    kt.resize(c.d * keys);
    q.resize(kRows * d);
    scores.resize(kRows * keys);
    out.resize(kRows * std::max(d, dv));
    if (!backward) {
      v.resize(keys * dv);
      return;
    }
    k.resize(keys * d);
    vt.resize(c.dv * keys);
    d_out.resize(kRows * dv);
    d_scores.resize(kRows * keys);
    d_k.resize(keys * d);
    d_v.resize(keys * dv);
  }
};

template <class T>
MYTHOS_INLINE void forward_task(const Shape& c, View<T> q, View<T> k, View<T> v, View<T> out,
                                float* log_sum, int64_t b, int64_t j, Space& space) {
  const int64_t S = c.rows(b), first_row = c.begin(b);
  if (S == 0) return;
  const int64_t seen_keys = c.visible(b, S - 1);  // positions increase
  const int64_t keys = padded(seen_keys), d = padded(c.d), dv = padded(c.dv);
  unpack_transposed(k.at(b, 0, j), k.position, seen_keys, c.d, space.kt.data());
  unpack(v.at(b, 0, j), v.position, seen_keys, c.dv, space.v.data());
  for (int64_t h = j * c.group(); h < (j + 1) * c.group(); ++h) {
    for (int64_t begin = 0; begin < S; begin += kRows) {
      const int64_t rows = std::min(kRows, S - begin);
      const int64_t columns = padded(c.visible(b, begin + rows - 1));
      const int64_t left = c.block_first(b, begin, rows);
      float* scores = space.scores.data();
      unpack(q.at(b, first_row + begin, h), q.position, rows, c.d, space.q.data());
      multiply(space.q.data(), d, 1, space.kt.data() + left, keys, c.d, scores + left, keys, rows,
               columns - left, false);
      for (int64_t r = 0; r < rows; ++r) {
        float* row = scores + r * keys;
        const int64_t first = c.first(b, begin + r), seen = c.visible(b, begin + r);
        // Whole vectors, hidden keys included: single numbers at the end would cost as much again.
        fill_hidden(row, left, first, seen, columns, kHidden);
        float most = kHidden;
#pragma omp simd reduction(max : most)
        for (int64_t i = left; i < columns; ++i) most = row[i] > most ? row[i] : most;
        most *= c.scale;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = left; i < columns; ++i) {
          row[i] = exp(row[i] * c.scale - most);
          sum += row[i];
        }
        fill_hidden(row, left, first, seen, columns, 0);
        if (log_sum) log_sum[(b * c.H + h) * S + begin + r] = most + std::log(sum);
        const float share = 1.0f / sum;
#pragma omp simd
        for (int64_t i = left; i < columns; ++i) row[i] *= share;
      }
      const int64_t depth = std::min(columns, seen_keys) - left;
      multiply(scores + left, keys, 1, space.v.data() + left * dv, dv, depth, space.out.data(), dv,
               rows, dv, false);
      for (int64_t r = 0; r < rows; ++r) {
        T* to = out.at(b, first_row + begin + r, h);
        for (int64_t i = 0; i < c.dv; ++i) store(to + i, space.out[r * dv + i]);
      }
    }
  }
}

template <class T>
MYTHOS_INLINE void backward_task(const Shape& c, View<T> q, View<T> k, View<T> v, View<T> d_out,
                                 const float* log_sum, View<T> d_q, View<T> d_k, View<T> d_v,
                                 int64_t b, int64_t j, Space& space) {
  const int64_t keys = padded(c.P), d = padded(c.d), dv = padded(c.dv);
  unpack(k.at(b, 0, j), k.position, c.P, c.d, space.k.data());
  unpack_transposed(k.at(b, 0, j), k.position, c.P, c.d, space.kt.data());
  unpack_transposed(v.at(b, 0, j), v.position, c.P, c.dv, space.vt.data());
  std::fill(space.d_k.begin(), space.d_k.end(), 0.0f);
  std::fill(space.d_v.begin(), space.d_v.end(), 0.0f);
  for (int64_t h = j * c.group(); h < (j + 1) * c.group(); ++h) {
    for (int64_t begin = 0; begin < c.S; begin += kRows) {
      const int64_t rows = std::min(kRows, c.S - begin);
      const int64_t columns = padded(c.visible(b, begin + rows - 1));
      const int64_t left = c.block_first(b, begin, rows);
      const int64_t depth = std::min(columns, c.P) - left;
      float* scores = space.scores.data();
      float* d_scores = space.d_scores.data();
      unpack(q.at(b, begin, h), q.position, rows, c.d, space.q.data());
      unpack(d_out.at(b, begin, h), d_out.position, rows, c.dv, space.d_out.data());
      multiply(space.q.data(), d, 1, space.kt.data() + left, keys, c.d, scores + left, keys, rows,
               columns - left, false);
      multiply(space.d_out.data(), dv, 1, space.vt.data() + left, keys, c.dv, d_scores + left, keys,
               rows, columns - left, false);
      for (int64_t r = 0; r < rows; ++r) {
        float* row = scores + r * keys;
        float* d_row = d_scores + r * keys;
        const int64_t first = c.first(b, begin + r), seen = c.visible(b, begin + r);
        const float total = log_sum[(b * c.H + h) * c.S + begin + r];
        fill_hidden(d_row, left, first, seen, columns, 0);
        float dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int64_t i = left; i < columns; ++i) {
          row[i] = exp(row[i] * c.scale - total);
          dot += row[i] * d_row[i];
        }
        fill_hidden(row, left, first, seen, columns, 0);
#pragma omp simd
        for (int64_t i = left; i < columns; ++i) d_row[i] = row[i] * (d_row[i] - dot) * c.scale;
      }
      multiply(d_scores + left, keys, 1, space.k.data() + left * d, d, depth, space.out.data(), d,
               rows, d, false);
      for (int64_t r = 0; r < rows; ++r) {
        T* to = d_q.at(b, begin + r, h);
        for (int64_t i = 0; i < c.d; ++i) store(to + i, space.out[r * d + i]);
      }
      multiply(d_scores + left, 1, keys, space.q.data(), d, rows, space.d_k.data() + left * d, d,
               depth, d, true);
      multiply(scores + left, 1, keys, space.d_out.data(), dv, rows, space.d_v.data() + left * dv,
               dv, depth, dv, true);
    }
  }
  for (int64_t p = 0; p < c.P; ++p) {
    T* to_k = d_k.at(b, p, j);
    T* to_v = d_v.at(b, p, j);
    for (int64_t i = 0; i < c.d; ++i) store(to_k + i, space.d_k[p * d + i]);
    for (int64_t i = 0; i < c.dv; ++i) store(to_v + i, space.d_v[p * dv + i]);
  }
}

#define MYTHOS_ATTENTION(NAME, T)                                                                 \
  MYTHOS_CLONES void forward_##NAME(const Shape& c, View<T> q, View<T> k, View<T> v, View<T> out, \
                                    float* log_sum, int64_t b, int64_t j, Space& space) {         \
    forward_task(c, q, k, v, out, log_sum, b, j, space);                                          \
  }                                                                                               \
  MYTHOS_CLONES void backward_##NAME(                                                             \
      const Shape& c, View<T> q, View<T> k, View<T> v, View<T> d_out, const float* log_sum,       \
      View<T> d_q, View<T> d_k, View<T> d_v, int64_t b, int64_t j, Space& space) {                \
    backward_task(c, q, k, v, d_out, log_sum, d_q, d_k, d_v, b, j, space);                        \
  }

MYTHOS_ATTENTION(f, float)
MYTHOS_ATTENTION(b, BFloat16)
#undef MYTHOS_ATTENTION

// f(sequence, key head, work space) for every task.
template <class F>
void for_tasks(const Shape& c, bool backward, const F& f) {
  at::parallel_for(0, c.B * c.K, 1, [&](int64_t begin, int64_t end) {
    Space space(c, backward);
    for (int64_t task = begin; task < end; ++task) f(task / c.K, task % c.K, space);
  });
}

}  // namespace

void attention_forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const at::Tensor& first_key, const at::Tensor& out,
                       const at::Tensor& log_sum) {
  const Shape c(q, k, v, first_key);
  float* sums = log_sum.data_ptr<float>();
  for_tasks(c, false, [&](int64_t b, int64_t j, Space& space) {
    if (q.scalar_type() == at::kFloat) {
      using V = View<float>;
      forward_f(c, V(q), V(k), V(v), V(out), sums, b, j, space);
    } else {
      using V = View<BFloat16>;
      forward_b(c, V(q), V(k), V(v), V(out), sums, b, j, space);
    }
  });
}

void attention_of_rows(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const PackedRows& rows, const at::Tensor& first_key, const at::Tensor& out) {
  Shape c(q, k, v, first_key);
  c.B = k.size(0);
  c.packed = &rows;
  c.positions = rows.position.data_ptr<int32_t>();
  for_tasks(c, false, [&](int64_t b, int64_t j, Space& space) {
    if (q.scalar_type() == at::kFloat) {
      using V = View<float>;
      forward_f(c, V(q).of_rows(), V(k), V(v), V(out).of_rows(), nullptr, b, j, space);
    } else {
      using V = View<BFloat16>;
      forward_b(c, V(q).of_rows(), V(k), V(v), V(out).of_rows(), nullptr, b, j, space);
    }
  });
}

void attention_backward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                        const at::Tensor& first_key, const at::Tensor& log_sum,
                        const at::Tensor& d_out, const at::Tensor& d_q, const at::Tensor& d_k,
                        const at::Tensor& d_v) {
  const Shape c(q, k, v, first_key);
  const float* sums = log_sum.data_ptr<float>();
  for_tasks(c, true, [&](int64_t b, int64_t j, Space& space) {
    if (q.scalar_type() == at::kFloat) {
      using V = View<float>;
      backward_f(c, V(q), V(k), V(v), V(d_out), sums, V(d_q), V(d_k), V(d_v), b, j, space);
    } else {
      using V = View<BFloat16>;
      backward_b(c, V(q), V(k), V(v), V(d_out), sums, V(d_q), V(d_k), V(d_v), b, j, space);
    }
  });
}

}  // namespace mythos::cpu
