// Products of expert-sorted rows with each expert's weights, and the weights' gradients, where
// LibTorch's grouped product would read the group sizes back to the host (fp32, fp16) or refuses
// the width (bf16 rows that are no multiple of 16 bytes) or the number of experts. Plain fp32
// arithmetic in tiles of 64 by 64: no tensor cores. And the sum of the products that are
// LibTorch's.
#include "device/cuda_device.h"
#include "ops/moe/moe_device.h"

namespace mythos {
namespace {

constexpr int kTile = 64, kDepth = 16, kOwn = 4;  // a thread computes 4 by 4 numbers of a tile
using Tile = float[kDepth][kTile + 4];
struct alignas(16) Own {
  float at[kOwn];
};

// tile[d][i] = from[i·stride + d·depth_stride], 0 outside `count` and `depth`. Neighbouring threads
// read along the stride that is 1.
template <class T>
__device__ inline void load_tile(Tile& tile, const T* from, int64_t stride, int64_t depth_stride,
                                 int64_t count, int64_t depth) {
  for (int t = threadIdx.x; t < kTile * kDepth; t += kThreads) {
    const int i = depth_stride == 1 ? t / kDepth : t % kTile;
    const int d = depth_stride == 1 ? t % kDepth : t / kTile;
    const bool inside = i < count && d < depth;
    tile[d][i] = inside ? load(from[i * stride + d * depth_stride]) : 0.0f;
  }
}

// out[i·out_stride + j] = Σ_d a[i·a_stride + d·a_depth]·b[j·b_stride + d·b_depth], or += when
// `adds`, for i < rows and j < columns of one tile.
template <class T, class Out>
__device__ inline void product_tile(const T* a, int64_t a_stride, int64_t a_depth, int64_t rows,
                                    const T* b, int64_t b_stride, int64_t b_depth, int64_t columns,
                                    int64_t depth, Out* out, int64_t out_stride, bool adds) {
  MYTHOS_SHARED(a_tile, Tile);
  MYTHOS_SHARED(b_tile, Tile);
  const int row = threadIdx.x / (kTile / kOwn) * kOwn, column = threadIdx.x % (kTile / kOwn) * kOwn;
  float sum[kOwn][kOwn] = {};
  for (int64_t d = 0; d < depth; d += kDepth) {
    load_tile(a_tile, a + d * a_depth, a_stride, a_depth, rows, depth - d);
    load_tile(b_tile, b + d * b_depth, b_stride, b_depth, columns, depth - d);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kDepth; ++k) {
      const Own x = *vector_at<const Own>(&a_tile[k][row]);
      const Own y = *vector_at<const Own>(&b_tile[k][column]);
      for (int i = 0; i < kOwn; ++i) {
        for (int j = 0; j < kOwn; ++j) sum[i][j] += x.at[i] * y.at[j];
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < kOwn && row + i < rows; ++i) {
    for (int j = 0; j < kOwn && column + j < columns; ++j) {
      Out& to = out[(row + i) * out_stride + column + j];
      to = as<Out>(adds ? load(to) + sum[i][j] : sum[i][j]);
    }
  }
}

// Block (x, y): the x-th tile of rows, counted over the groups in turn, and columns of y. The grid
// has room for one broken tile in each group; blocks beyond the last tile have nothing to do.
template <class T>
__global__ void rows_kernel(GroupedRows args) {
  int64_t tile = blockIdx.x, begin = 0, end = 0, e = 0;
  for (; e < args.groups; ++e, begin = end) {
    end = args.ends[e];
    const int64_t tiles = (end - begin + kTile - 1) / kTile;
    if (tile < tiles) break;
    tile -= tiles;
  }
  if (e == args.groups) return;
  const int64_t row = begin + tile * kTile, column = int64_t{blockIdx.y} * kTile;
  const T* b = static_cast<const T*>(args.b) + e * args.b_group + column * args.b_column;
  product_tile(static_cast<const T*>(args.a) + row * args.depth, args.depth, 1, end - row, b,
               args.b_column, args.b_depth, args.columns - column, args.depth,
               static_cast<T*>(args.out) + row * args.columns + column, args.columns, false);
}

__device__ inline int64_t begin_of(const int32_t* ends, int64_t e) {
  return e == 0 ? 0 : ends[e - 1];
}

// Block (x, y, z): a tile of the weights of z, z + gridDim.z, ….
template <class T>
__global__ void weights_kernel(GroupedWeights args) {
  const int64_t i = int64_t{blockIdx.x} * kTile, j = int64_t{blockIdx.y} * kTile;
  for (int64_t e = blockIdx.z; e < args.groups; e += gridDim.z) {
    const int64_t begin = begin_of(args.ends, e), rows = args.ends[e] - begin;
    if (args.adds && rows == 0) continue;
    product_tile(static_cast<const T*>(args.a) + begin * args.m + i, 1, args.m, args.m - i,
                 static_cast<const T*>(args.b) + begin * args.n + j, 1, args.n, args.n - j, rows,
                 args.sum + (e * args.m + i) * args.n + j, args.n, args.adds);
  }
}

// Block (x, y): a piece of group y.
__global__ void add_kernel(GroupedAdd args) {
  const int64_t e = blockIdx.y;
  const bool empty = args.ends[e] == begin_of(args.ends, e);
  if (empty && args.adds) return;
  const Bf16* product = static_cast<const Bf16*>(args.product) + e * args.size;
  float* sum = args.sum + e * args.size;
  const int64_t step = int64_t{gridDim.x} * kThreads * kChunk;
  for (int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kChunk; i < args.size;
       i += step) {
    float x[kChunk] = {}, total[kChunk] = {};
    if (!empty) load_n<kChunk>(product + i, x);
    if (args.adds) load_n<kChunk>(sum + i, total);
    for (int j = 0; j < kChunk; ++j) total[j] += x[j];
    store_n<kChunk>(sum + i, total);
  }
}

unsigned tiles_of(int64_t count) {
  return static_cast<unsigned>((count + kTile - 1) / kTile);
}

}  // namespace
}  // namespace mythos

extern "C" int mythos_cuda_grouped_rows(const mythos::GroupedRows* args, void* stream) {
  using namespace mythos;
  if (args->rows == 0 || args->columns == 0) return 0;
  const dim3 blocks(tiles_of(args->rows) + static_cast<unsigned>(args->groups),
                    tiles_of(args->columns));
  return with_type(args->type, [=](auto one) {
    return launch(rows_kernel<decltype(one)>, blocks, 0, stream, *args);
  });
}

extern "C" int mythos_cuda_grouped_weights(const mythos::GroupedWeights* args, void* stream) {
  using namespace mythos;
  if (args->groups == 0 || args->m == 0 || args->n == 0) return 0;
  const dim3 blocks(tiles_of(args->m), tiles_of(args->n),
                    static_cast<unsigned>(args->groups < 65535 ? args->groups : 65535));
  return with_type(args->type, [=](auto one) {
    return launch(weights_kernel<decltype(one)>, blocks, 0, stream, *args);
  });
}

extern "C" int mythos_cuda_grouped_add(const mythos::GroupedAdd* args, void* stream) {
  using namespace mythos;
  if (args->groups == 0 || args->size == 0) return 0;
  const int64_t pieces = (args->size / kChunk + kThreads - 1) / kThreads;
  const dim3 blocks(static_cast<unsigned>(pieces < 1024 ? pieces : 1024),
                    static_cast<unsigned>(args->groups));
  return launch(add_kernel, blocks, 0, stream, *args);
}
