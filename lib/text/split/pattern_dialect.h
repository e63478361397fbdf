#pragma once
#include <string>
#include <string_view>

#include "text/split/splitter.h"

namespace mythos {

// The pattern as PCRE2 is to read it, so that it means there what it means in `dialect`: a set
// inside a set, [a[bc]], is written out. Fails (data) on what the two read differently in any other
// way.
std::string pcre2_spelling(std::string_view pattern, Dialect dialect);

}  // namespace mythos
