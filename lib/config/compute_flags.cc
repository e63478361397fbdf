#include "config/compute_flags.h"

#include <CLI/CLI.hpp>

namespace mythos {

void ComputeFlags::declare(CLI::App& app) {
  app.add_option("--device", device,
                 "auto (CUDA where it is there), cpu, cuda or cuda:N; default: auto")
      ->type_name("DEVICE")
      ->envname("MYTHOS_DEVICE");
  app.add_option("--threads", threads, "CPU threads; default: one for each core")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}))
      ->envname("MYTHOS_THREADS");
}

}  // namespace mythos
