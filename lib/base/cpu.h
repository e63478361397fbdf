#pragma once
#include <cstdint>

namespace mythos {

// The number of cores that this process may run on, each counted once however many hardware threads
// it has. So many compute threads are fastest for matrix products. At least 1.
int64_t physical_cores();

}  // namespace mythos
