#pragma once
#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace mythos {

// Where a program computes: the options that every verb with a model shares. MYTHOS_DEVICE
// and MYTHOS_THREADS stand in for options that are not given.
struct ComputeFlags {
  std::string device = "auto";
  int64_t threads = 0;  // 0: one for each core

  // Adds --device and --threads.
  void declare(CLI::App& app);
};

}  // namespace mythos
