#include "config/compute_flags.h"

#include <CLI/CLI.hpp>

#include "config/field_value.h"

namespace mythos {

void ComputeFlags::declare(CLI::App& app) {
  app.add_option("--device", device, "auto, cpu, cuda or cuda:N")
      ->type_name("DEVICE")
      ->envname("MYTHOS_DEVICE");
  app.add_option("--threads", threads, "CPU threads; default: one for each core")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}))
      ->envname("MYTHOS_THREADS");
}

void ComputeFlags::declare_dtype(CLI::App& app) {
  app.add_option("--dtype", dtype,
                 "Type of matrix products: auto (bf16 on CUDA, fp32 on CPU), fp32, bf16, "
                 "fp16 or tf32 (CUDA)")
      ->type_name("TYPE");
}

ComputeType ComputeFlags::compute_type() const {
  return static_cast<ComputeType>(find_name("--dtype", dtype, "", EnumNames<ComputeType>::names));
}

}  // namespace mythos
