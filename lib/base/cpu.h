#pragma once
#include <cstdint>

namespace mythos {

// Cores that this process may run on, counting the hardware threads of one core once: the number of
// compute threads that is fastest for matrix products. At least 1.
int64_t physical_cores();

}  // namespace mythos
