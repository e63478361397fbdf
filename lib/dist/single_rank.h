#pragma once
#include <memory>

#include "dist/ranks.h"

namespace mythos {

// The one rank of a process that trains by itself.
std::unique_ptr<Ranks> single_rank();

}  // namespace mythos
