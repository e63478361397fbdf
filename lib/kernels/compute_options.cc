#include "kernels/compute_options.h"

#include <ATen/Parallel.h>
#include <malloc.h>

#include <CLI/CLI.hpp>

#include "base/cpu.h"
#include "config/field_value.h"
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

void ComputeOptions::declare(CLI::App& app) {
  app.add_option("--device", device, "auto, cpu, cuda or cuda:N")
      ->type_name("DEVICE")
      ->envname("MYTHOS_DEVICE");
  app.add_option("--threads", threads, "CPU threads; default: one for each core")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}))
      ->envname("MYTHOS_THREADS");
}

void ComputeOptions::declare_dtype(CLI::App& app) {
  app.add_option("--dtype", dtype,
                 "Type of matrix products: auto (bf16 on CUDA, fp32 on CPU), fp32, bf16, "
                 "or tf32 (CUDA)")
      ->type_name("TYPE");
}

void ComputeOptions::set_threads() const {
  keep_freed_memory();
  at::set_num_threads(static_cast<int>(threads > 0 ? threads : physical_cores()));
}

torch::Device ComputeOptions::select() const {
  set_threads();
  return resolve_device(device);
}

ComputeType ComputeOptions::compute_type() const {
  return static_cast<ComputeType>(find_name("--dtype", dtype, "", EnumNames<ComputeType>::names));
}

}  // namespace mythos
