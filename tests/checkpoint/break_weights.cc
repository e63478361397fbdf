// Makes a run of another one's model with some weights changed, which no program does:
//   break_weights RUN NEW_RUN TENSOR PLACE VALUE [TENSOR PLACE VALUE …]
// PLACE counts in row-major order; "all" multiplies every value of the tensor by VALUE.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cstdio>
#include <string>

#include "checkpoint/checkpoint.h"

int main(int argc, char** argv) {
  using namespace mythos;
  const at::NoGradGuard no_grad;
  const LoadedCheckpoint loaded = load_checkpoint(argv[1], at::kCPU);
  CheckpointContent content;
  content.config = loaded.config;
  content.tokenizer = loaded.tokenizer.get();
  for (const auto& [name, tensor] : named_tensors(loaded.model->parameters)) {
    at::Tensor changed = tensor.clone();
    for (int i = 3; i + 2 < argc; i += 3) {
      if (name != argv[i]) continue;
      const std::string place = argv[i + 1];
      const double value = std::stod(argv[i + 2]);
      if (place == "all") {
        changed.mul_(value);
      } else {
        changed.view({-1})[std::stoll(place)] = value;
      }
    }
    content.model.emplace_back(name, changed);
  }
  save_checkpoint(argv[2], 0, content);
}
