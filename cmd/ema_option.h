#pragma once
#include <CLI/CLI.hpp>

#include "checkpoint/checkpoint.h"

namespace mythos {

// Adds --ema, which asks for LoadFor::averages instead of what `purpose` is.
inline void add_ema_option(CLI::App& app, LoadFor& purpose) {
  app.add_flag_callback(
      "--ema", [&purpose] { purpose = LoadFor::averages; },
      "The averages of the weights that train.ema_decay kept, instead of the weights");
}

}  // namespace mythos
