#pragma once
#include <memory>
#include <span>

#include "infer/engine/decoder.h"

namespace mythos {

// Decoder::step on the CPU: one pass over the weights for all rows, by a team of threads that meets
// at barriers, with every buffer allocated before. Activations stay fp32 whatever the weights are.
class NativeDecoder {
 public:
  // Prompts of up to this many tokens; longer ones repay the model's forward(), whose products are
  // blocked.
  static constexpr int64_t kPromptRows = 16;

  // All must outlive it.
  NativeDecoder(const ModelConfig& config, const Weights& weights, const Decoder::Options& options);
  ~NativeDecoder();

  // At most Decoder::kMaxRows rows.
  void step(std::span<Decoder::Row> rows);
  // At most kPromptRows tokens of one sequence at full depth; the logits of the last, where wanted.
  void feed(KvCache& cache, std::span<const uint32_t> ids, float* logits);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mythos
