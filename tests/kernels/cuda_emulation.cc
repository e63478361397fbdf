#include "cuda_emulation.h"

#include <dlfcn.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <vector>

#include "kernels/cuda_library.h"

dim3 threadIdx, blockIdx, gridDim;

namespace emulation {
namespace {

constexpr size_t kStackBytes = 128 << 10;

struct Barrier {
  int arrived = 0;
  int64_t generation = 0;
};

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  bool done = false;
};

std::vector<Fiber> fibers;
std::vector<Barrier> warp_barriers;
std::vector<uint32_t> passed;  // by the lanes of all warps
std::vector<float> shared;
Barrier block_barrier;
ucontext_t scheduler;
const std::function<void()>* kernel = nullptr;
size_t current = 0;
bool progress = false;  // since the last round over the threads

void run_fiber() {
  (*kernel)();
  fibers[current].done = true;
  progress = true;
}

void wait_for(Barrier& barrier, int threads) {
  const int64_t generation = barrier.generation;
  if (++barrier.arrived == threads) {
    barrier.arrived = 0;
    ++barrier.generation;
    progress = true;
  }
  while (barrier.generation == generation) {
    swapcontext(&fibers[current].context, &scheduler);
  }
}

void run_block(size_t threads, bool reverse) {
  for (size_t t = 0; t < threads; ++t) {
    Fiber& fiber = fibers[t];
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, run_fiber, 0);
  }
  for (bool all_done = false; !all_done;) {
    all_done = true;
    progress = false;
    for (size_t i = 0; i < threads; ++i) {
      current = reverse ? threads - 1 - i : i;
      if (fibers[current].done) continue;
      threadIdx.x = static_cast<unsigned>(current);
      swapcontext(&scheduler, &fibers[current].context);
      all_done = all_done && fibers[current].done;
    }
    if (!all_done && !progress) {
      std::fprintf(stderr, "CUDA emulation: a barrier that not all threads reach\n");
      std::abort();
    }
  }
}

}  // namespace

float* dynamic_shared() {
  void* start = shared.data();
  size_t space = shared.size() * sizeof(float);
  return static_cast<float*>(std::align(16, 0, start, space));
}

int launch(const std::function<void()>& body, dim3 blocks, int threads, unsigned shared_bytes) {
  kernel = &body;
  gridDim = blocks;
  fibers.resize(static_cast<size_t>(threads));
  warp_barriers.assign(fibers.size() / 32, {});
  passed.resize(fibers.size());
  block_barrier = {};
  for (blockIdx.z = 0; blockIdx.z < blocks.z; ++blockIdx.z) {
    for (blockIdx.y = 0; blockIdx.y < blocks.y; ++blockIdx.y) {
      for (blockIdx.x = 0; blockIdx.x < blocks.x; ++blockIdx.x) {
        shared.assign(shared_bytes / sizeof(float) + 4, std::numeric_limits<float>::quiet_NaN());
        run_block(fibers.size(), blockIdx.x % 2 == 1);
      }
    }
  }
  return 0;
}

uint32_t exchange(uint32_t value, int from) {
  const size_t warp = current / 32;
  passed[current] = value;
  wait_for(warp_barriers[warp], 32);
  const uint32_t other = passed[warp * 32 + static_cast<size_t>(from)];
  wait_for(warp_barriers[warp], 32);
  return other;
}

}  // namespace emulation

void __syncthreads() {
  emulation::wait_for(emulation::block_barrier, static_cast<int>(emulation::fibers.size()));
}

// In place of lib/kernels/cuda_library.cc: every operator goes through the CUDA kernels, which are
// found in this program and work on tensors of the CPU.
namespace mythos {

void* cuda_kernel(const char* name) {
  return dlsym(RTLD_DEFAULT, name);
}

void* cuda_stream(at::Device) {
  return nullptr;
}

Backend backend_of(const at::Tensor&) {
  return Backend::cuda;
}

}  // namespace mythos
