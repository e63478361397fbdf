#pragma once
#include <memory>
#include <string_view>

#include "text/split/splitter.h"

namespace mythos {

// The hand-written splitter for a pattern, which is recognised by its spelling; null if there is
// none for it.
std::unique_ptr<Splitter> make_fast_splitter(std::string_view pattern);

}  // namespace mythos
