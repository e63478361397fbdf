#include "arch/halting.h"

#include "arch/cache_layout.h"

namespace mythos {

HaltingMemory halting_memory(const ModelConfig& config, int64_t c) {
  if (config.halting == Halting::none) return {};
  HaltingMemory memory = {.loop = 12 * kFloatBytes, .state = true, .gradients = 2};
  if (config.halting == Halting::act) {
    memory.keys = config.core_layers * Whole(CacheLayout(config).numbers()) * c;
  }
  return memory;
}

}  // namespace mythos
