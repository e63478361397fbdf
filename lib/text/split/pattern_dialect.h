#pragma once
#include <string>
#include <string_view>

#include "text/split/splitter.h"

namespace mythos {

// Respells a pattern so that it means in PCRE2 what it means in `dialect`: a set inside a set,
// [a[bc]], is written out. Fails (data) on a pattern that the two read differently in any other
// way.
std::string pcre2_spelling(std::string_view pattern, Dialect dialect);

}  // namespace mythos
