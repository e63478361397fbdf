#pragma once
#include <memory>
#include <string_view>

#include "text/split/splitter.h"

namespace mythos {

// The hand-written splitter for a pattern, told by its spelling; null for a pattern that has none.
std::unique_ptr<Splitter> make_fast_splitter(std::string_view pattern);

}  // namespace mythos
