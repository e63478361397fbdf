#pragma once
#include <CLI/CLI.hpp>

#include <string>

#include "checkpoint/checkpoint.h"

namespace mythos {

// Adds --ema, which asks for LoadFor::averages instead of what `purpose` is.
inline void add_ema_option(CLI::App& app, LoadFor& purpose) {
  app.add_flag_callback(
      "--ema", [&purpose] { purpose = LoadFor::averages; },
      "The averages of the weights that train.ema_decay kept, instead of the weights");
}

// Adds --checkpoint, which must be given, and --ema.
inline void add_checkpoint_options(CLI::App& app, std::string& checkpoint, LoadFor& purpose) {
  app.add_option("--checkpoint", checkpoint,
                 "Run folder, step folder, or a published model's folder")
      ->type_name("RUN")
      ->required();
  add_ema_option(app, purpose);
}

}  // namespace mythos
