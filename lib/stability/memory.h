#pragma once

namespace mythos {

// Bytes of main memory that this process can still take without others being pushed out: what the
// kernel calls available, within the control group's limit.
double available_memory_bytes();

}  // namespace mythos
