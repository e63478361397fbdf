#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "infer/sampling.h"
#include "infer/session.h"
#include "text/tokenizer.h"

namespace mythos {

enum class StopReason { eos, stop, max_tokens, context, interrupted };
// "eos", "stop", "max_tokens", "context", "interrupted".
std::string_view stop_reason_name(StopReason reason);

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_tokens = 256;
  std::vector<std::string> stop;  // the text ends before the first of these
  uint64_t stream = 0;            // tells samples of one prompt and seed apart
  std::function<bool()> cancelled;

  // Fails (usage) naming the option, its value and what is allowed.
  void validate() const;
};

struct Generation {
  // Everything drawn but EOS. With a stop string it includes the tokens that the string came from.
  std::vector<uint32_t> ids;
  std::string text;  // what was shown: without the stop string
  StopReason reason = StopReason::max_tokens;
  std::string stop;  // the stop string that was met
  int64_t prompt_tokens = 0;
  double prefill_seconds = 0;  // of the prompt; once for all samples of it
  int64_t decode_steps = 0;    // passes after the prompt, which itself gives the first token
  double decode_seconds = 0;

  double prefill_tokens_per_second() const;
  double decode_tokens_per_second() const;
};

// The ids of a prompt. An empty one is unconditional: BOS, or else EOS, which ends the document
// before. Fails (data) when the tokenizer has neither.
std::vector<uint32_t> prompt_ids(const Tokenizer& tokenizer, std::string_view text);

// Continues a prompt. Given once, the prompt is computed once for any number of samples.
class Generator {
 public:
  using Sink = std::function<void(std::string_view)>;

  // Both must outlive the generator. Fails (data) when the tokenizer has ids that the model lacks.
  Generator(Session& session, const Tokenizer& tokenizer);

  // Fails (data) when the prompt does not fit in the context. False when `cancelled` ended it.
  bool set_prompt(std::span<const uint32_t> ids, const std::function<bool()>& cancelled = {});
  // Hands text to `sink` as soon as it is certain. The last token need not fit in the context: a
  // prompt that fills it gets one token.
  Generation generate(const GenerateOptions& options, const Sink& sink = {});

 private:
  Session& session_;
  const Tokenizer& tokenizer_;
  std::vector<float> prompt_logits_;
  int64_t prompt_tokens_ = 0;
  double prefill_seconds_ = 0;
};

}  // namespace mythos
