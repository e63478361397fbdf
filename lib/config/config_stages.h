#pragma once
#include <string>
#include <vector>

#include "config/config.h"

namespace mythos {

// How a configuration came about: each stage is the configuration before it with the changes of one
// source ("preset tiny", "the command line"). The first begins with the defaults.
struct ConfigStage {
  std::string source;
  Config config;
};

// The whole configuration of the last stage as TOML, which reads back equal. A comment behind each
// key says what it is and, in brackets, which source gave it its value; without one it is the
// default.
std::string to_toml(const std::vector<ConfigStage>& stages);

}  // namespace mythos
