#pragma once
#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace mythos {

// The options that every verb with a model shares: the device and the threads that compute.
// MYTHOS_DEVICE and MYTHOS_THREADS are used if the options are not given.
struct ComputeFlags {
  std::string device = "auto";
  int64_t threads = 0;  // 0 means one for each core

  // Adds --device and --threads.
  void declare(CLI::App& app);
};

}  // namespace mythos
