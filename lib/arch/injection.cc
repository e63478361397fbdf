#include "arch/injection.h"

namespace mythos {

InjectionMemory injection_memory(const ModelConfig& config, int64_t c) {
  const Whole D = config.dim, state = D * kFloatBytes;
  InjectionMemory memory;
  switch (config.injection) {
    case Injection::lti:
      memory.loop = 2 * state + kFloatBytes;
      memory.state_in_loop = memory.input_in_fp32 = true;
      break;
    case Injection::zoh:  // its drive before the gain is kept too
      memory.loop = memory.recomputed_drive = state;
      memory.state_in_loop = memory.input_in_fp32 = true;
      memory.drive = state + (c < kFloatBytes ? D * c : Whole(0));
      break;
    case Injection::linear:
      memory.loop = 2 * D * c;
      if (config.injection_norm) memory.loop += state + kFloatBytes;
      break;
    case Injection::gated:
      memory.loop = 2 * state;
      memory.state_in_loop = true;
      break;
    case Injection::add:
      break;
    case Injection::none:
      memory.input_gradient = false;
      break;
  }
  return memory;
}

}  // namespace mythos
