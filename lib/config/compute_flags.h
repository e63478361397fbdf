#pragma once
#include <cstdint>
#include <string>

#include "config/train_config.h"

namespace CLI {
class App;
}

namespace mythos {

// Where and how a program computes: the options that every verb with a model shares. MYTHOS_DEVICE
// and MYTHOS_THREADS stand in for options that are not given.
struct ComputeFlags {
  std::string device = "auto";
  int64_t threads = 0;  // 0: one for each core
  std::string dtype = "auto";

  // Adds --device and --threads.
  void declare(CLI::App& app);
  // Adds --dtype.
  void declare_dtype(CLI::App& app);

  // Fails (usage) when --dtype names no type.
  ComputeType compute_type() const;
};

}  // namespace mythos
