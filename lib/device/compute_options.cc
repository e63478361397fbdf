#include "device/compute_options.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <malloc.h>

#include <latch>
#include <system_error>
#include <thread>
#include <vector>

#include "base/cpu.h"
#include "base/error.h"
#include "base/strings.h"
#include "device/device.h"
#include "device/limited_memory.h"

namespace mythos {
namespace {

// Activations come and go by the megabyte. Freed memory stays with the process, instead of going
// back to the system and being cleared again page by page; blocks beyond 32 MB (weights) go back.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_TOP_PAD, 64 << 20);
}

// Where OpenMP cannot start its threads, it ends the process; this fails before that, and has them
// started while there is memory for them.
void start_threads(int64_t count) {
  std::latch started(1);
  std::vector<std::jthread> others;
  try {
    for (int64_t i = 1; i < count; ++i) others.emplace_back([&] { started.wait(); });
    started.count_down();
  } catch (const std::system_error& error) {
    started.count_down();
    fail(ErrorKind::resources,
         strprintf("cannot start %d threads: %s", count, error.code().message()),
         "--threads (or MYTHOS_THREADS) asks for fewer.");
  }
  others.clear();
  at::set_num_threads(static_cast<int>(count));
  at::parallel_for(0, count, 1, [](int64_t, int64_t) {});
}

}  // namespace

void ComputeOptions::set_threads() const {
  keep_freed_memory();
  reserve_small_memory();
  start_threads(threads > 0 ? threads : physical_cores());
}

at::Device ComputeOptions::select() const {
  set_threads();
  return resolve_device(device);
}

}  // namespace mythos
