#pragma once
#include <cstdint>

#include "device/number_type.h"

// Routing and row movement of routed experts on raw memory of a CUDA device. A slot is an entry of
// experts [N,k] in row-major order: slot / k is its token.
namespace mythos {

constexpr int64_t kRouteChunk = 512;  // slots counted by one block

// A stable counting sort of the slots by expert: order [slots] holds slots, place [slots] its
// inverse, ends [groups] the end of each expert's rows. counts has space for groups·chunks numbers,
// totals for groups.
struct MoeRoute {
  const int64_t* experts;
  int64_t *order, *place;
  int32_t *counts, *totals, *ends;
  int64_t slots, groups, chunks;
};

// to[place ? place[slot[i]] : i] = from[k ? slot[i] / k : i], rows of `width` numbers.
struct MoeGather {
  const void* from;
  const int64_t *slot, *place;
  void* to;
  int64_t rows, width, k;
  NumberType type;
};

// to[n] = Σ_j from[place[n·k + j]], j = 0…k-1 in turn, summed in fp32.
struct MoeCombine {
  const void* from;
  const int64_t* place;
  void* to;
  int64_t rows, width, k;
  NumberType type;
};

// Products over expert-sorted rows, where group e has rows ends[e-1] … ends[e]-1:
// out[i,j] = Σ_d a[i,d]·b(e,d,j), a [rows,depth], out [rows,columns], b(e,d,j) at
// b[e·b_group + d·b_depth + j·b_column].
struct GroupedRows {
  const void *a, *b;
  void* out;
  const int32_t* ends;
  int64_t groups, rows, depth, columns, b_group, b_depth, b_column;
  NumberType type;
};
// Gradients of weights over expert-sorted rows: sum[e,i,j] = Σ a[r,i]·b[r,j] over the rows r of e,
// or += when `adds`. a [rows,m], b [rows,n]; a group without rows has zeros.
struct GroupedWeights {
  const void *a, *b;
  float* sum;
  const int32_t* ends;
  int64_t groups, m, n;
  NumberType type;
  bool adds;
};
// sum[e] = product[e], or += when `adds`, of `size` numbers, a multiple of 8; the product of a
// group without rows counts as zeros, whatever it holds. product bf16.
struct GroupedAdd {
  const void* product;
  float* sum;
  const int32_t* ends;
  int64_t groups, size;
  bool adds;
};

}  // namespace mythos
