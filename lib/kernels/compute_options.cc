#include "kernels/compute_options.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <malloc.h>

#include "base/cpu.h"
#include "kernels/device.h"

namespace mythos {
namespace {

// Activations come and go by the megabyte. Freed memory stays with the process, instead of going
// back to the system and being cleared again page by page; blocks beyond 32 MB (weights) go back.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_TOP_PAD, 64 << 20);
}

}  // namespace

void ComputeOptions::set_threads() const {
  keep_freed_memory();
  at::set_num_threads(static_cast<int>(threads > 0 ? threads : physical_cores()));
}

at::Device ComputeOptions::select() const {
  set_threads();
  return resolve_device(device);
}

}  // namespace mythos
