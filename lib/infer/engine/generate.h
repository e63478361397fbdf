#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "infer/engine/generation.h"
#include "infer/engine/session.h"
#include "text/tokenizer.h"

namespace mythos {

// Continues a prompt. Given once, the prompt is computed once for any number of samples.
class Generator {
 public:
  using Sink = Continuation::Sink;

  // Both must outlive the generator. Fails (data) when the tokenizer has ids that the model lacks.
  Generator(Session& session, const Tokenizer& tokenizer);

  // Fails (data) when the prompt does not fit in the context. False when `cancelled` ended it.
  bool set_prompt(std::span<const uint32_t> ids, const std::function<bool()>& cancelled = {});
  // Hands text to `sink` as soon as it is certain. Fails (usage) on options that are not allowed.
  Generation generate(const GenerateOptions& options, const Sink& sink = {});

 private:
  void decode(Continuation& text);
  void speculate(Continuation& text);

  Session& session_;
  const Tokenizer& tokenizer_;
  std::vector<float> prompt_logits_;
  int64_t prompt_tokens_ = 0;
  double prefill_seconds_ = 0;
};

}  // namespace mythos
