#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/document_ends.h"
#include "infer/engine/speculate.h"
#include "infer/sampling/sampling.h"
#include "infer/sampling/stop_filter.h"
#include "text/tokenizer.h"

namespace mythos {

enum class StopReason { eos, stop, max_tokens, context, interrupted };
// "eos", "stop", "max_tokens", "context", "interrupted".
std::string_view stop_reason_name(StopReason reason);

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_tokens = 256;
  std::vector<std::string> stop;        // the text ends before the first of these
  std::vector<uint32_t> stop_ids = {};  // tokens that end the text as EOS does
  uint64_t stream = 0;                  // tells samples of one prompt and seed apart
  SpeculationOptions speculation;
  bool confidence = false;                // fill Generation::confidence
  std::optional<DocumentEnds> documents;  // of the model's training, where known

  // Fails (usage) naming the option, its value and what is allowed.
  void validate() const;
};

// How sure the model was of its next tokens at the loop that they were read from: sums over tokens
// of the likeliest token's probability, before temperature and filters, and of what it has more
// than the second.
struct Confidence {
  int64_t tokens = 0;
  double top = 0, margin = 0;

  void add(std::span<const float> logits);
};

struct Generation {
  // Everything drawn but EOS. With a stop string it includes the tokens that the string came from.
  std::vector<uint32_t> ids;
  std::string text;  // what was shown: without the stop string
  StopReason reason = StopReason::max_tokens;
  std::string stop;  // the stop string that was met
  int64_t prompt_tokens = 0;
  int64_t computed_prompt_tokens = 0;  // the others were copied from a text that begins alike
  double prefill_seconds = 0;          // that both took
  int64_t decode_steps = 0;  // tokens drawn after the first, which the prompt itself gives
  double decode_seconds = 0;
  int64_t latent_steps = 0;  // between prompt and text
  int64_t loops = 0;         // most of a token
  bool exits = false;        // the decoder's exit rule applied
  int64_t loops_run = 0;     // of decode_steps passes in all; 0 with speculation
  int64_t cache_bytes_per_token = 0;
  SpeculationCounts speculation;
  Confidence confidence;  // of the tokens drawn; none with speculation

  // The request was stopped before the first token.
  bool stopped_in_prompt() const { return reason == StopReason::interrupted && ids.empty(); }
  double prefill_tokens_per_second() const;  // of those computed
  double decode_tokens_per_second() const;
  // Loops of a token after the prompt; `loops` where there is none.
  double mean_loops() const;
};

// The ids of a prompt, which is the beginning of a document: behind BOS where the documents of the
// training began so. An empty one then is BOS alone, or else EOS, which ends the document before.
// Where those documents are not known, only an empty prompt begins with BOS. Fails (data) when an
// empty prompt has nothing to start from.
std::vector<uint32_t> prompt_ids(const Tokenizer& tokenizer, std::string_view text,
                                 const std::optional<DocumentEnds>& documents = {});

// Fails (data) when the tokenizer has ids that the model lacks.
void check_tokenizer(const Tokenizer& tokenizer, int64_t vocab_size);

// One text in the making: takes tokens as they are drawn and tells when it ends.
class Continuation {
 public:
  using Sink = std::function<void(std::string_view)>;

  // Text goes to `sink` as soon as it is certain. The tokenizer must outlive it. Fails as
  // GenerateOptions::validate().
  Continuation(const Tokenizer& tokenizer, const GenerateOptions& options, int64_t prompt_tokens,
               int64_t context_tokens, Sink sink = {});

  // Draws the next token from logits [V]; ids that the tokenizer lacks are never drawn.
  uint32_t sample(std::span<const float> logits) const;
  // Adds a drawn token. False when the text ends with it. The last token need not fit in the
  // context: a prompt that fills it gets one token.
  bool push(uint32_t id);
  // Tokens that may still be drawn; 1 or more after push() has said true.
  int64_t left() const;
  int64_t length() const { return static_cast<int64_t>(out_.ids.size()); }
  const GenerateOptions& options() const { return options_; }

  // The text ends here because its request was stopped.
  void interrupt() { end(StopReason::interrupted); }
  // For the figures that only the caller knows.
  Generation& result() { return out_; }
  // The text is done: what was held back is shown.
  Generation finish();

 private:
  bool ends_document(uint32_t id) const;
  bool end(StopReason reason);
  void show(const std::string& text);

  const Tokenizer& tokenizer_;
  GenerateOptions options_;
  int64_t room_;  // tokens that the context holds behind the prompt
  Sink sink_;
  StreamDecoder decoder_;
  StopFilter filter_;
  Generation out_;
};

}  // namespace mythos
