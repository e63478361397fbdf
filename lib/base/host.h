#pragma once
#include <string>

namespace mythos {

// This machine's name in its network; "localhost" if it has none.
std::string host_name();

}  // namespace mythos
