#pragma once
#include "arch/declaration.h"
#include "base/whole.h"

namespace mythos {

// Depth-wise LoRA: a low-rank addition to the core's output, scaled by a vector of each loop.
template <class T, class M>
struct LoopAdapterTensors {
  T down;   // [r,D]
  T scale;  // [max_loop_iters,r]
  T up;     // [r,D]

  template <class Self, class F>
  static void visit(Self& self, const ModelConfig& c, F&& f) {
    if (c.lora_rank == 0) return;
    f(self.down, {.name = "down.weight",
                  .shape = {c.lora_rank, c.dim},
                  .use = Use::exact_product,
                  .low_rank = true});
    f(self.scale, {"scale.weight", {c.max_loop_iters, c.lora_rank}, Use::loop_table});
    f(self.up,
      {.name = "B", .shape = {c.lora_rank, c.dim}, .use = Use::exact_product, .low_rank = true});
  }
};

// Bytes of one token that a loop keeps for its backward pass, the adapter's input and its two
// narrow products; `c` is the size of a number in the compute type.
inline Whole loop_adapter_kept(const ModelConfig& config, int64_t c) {
  if (config.lora_rank == 0) return 0;
  return (config.dim + 2 * Whole(config.lora_rank)) * c;
}

}  // namespace mythos
