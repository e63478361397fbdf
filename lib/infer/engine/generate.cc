#include "infer/engine/generate.h"

#include "base/clock.h"
#include "base/error.h"

namespace mythos {

Generator::Generator(Session& session, const Tokenizer& tokenizer)
    : session_(session), tokenizer_(tokenizer) {
  check_tokenizer(tokenizer, session.vocab_size());
}

bool Generator::set_prompt(std::span<const uint32_t> ids, const std::function<bool()>& cancelled) {
  const auto start = Clock::now();
  session_.truncate(0);
  prompt_logits_ = session_.feed(ids, cancelled);
  prompt_tokens_ = session_.length();
  prefill_seconds_ = seconds_since(start);
  return !prompt_logits_.empty();
}

Generation Generator::generate(const GenerateOptions& options, const Sink& sink) {
  if (prompt_logits_.empty()) fail(ErrorKind::internal, "generate() before set_prompt()");
  const auto start = Clock::now();
  Continuation text(tokenizer_, options, prompt_tokens_, session_.context_tokens(), sink);
  Generation& out = text.result();
  out.prefill_seconds = prefill_seconds_;
  out.loops = session_.loops();
  out.exits = session_.exits();
  out.cache_bytes_per_token = session_.cache_bytes_per_token();
  session_.truncate(prompt_tokens_);
  options.speculation.draft_loops > 0 ? speculate(text) : decode(text);
  Generation done = text.finish();
  done.decode_seconds = seconds_since(start);
  return done;
}

void Generator::decode(Continuation& text) {
  std::vector<float> logits = prompt_logits_;
  uint32_t id = text.sample(logits);
  while (text.push(id)) {
    text.result().loops_run += session_.step({&id, 1}, 0, logits);
    id = text.sample(logits);
  }
}

void Generator::speculate(Continuation& text) {
  const GenerateOptions& options = text.options();
  Speculator speculator(session_, options.speculation, options.sampling, options.stream,
                        tokenizer_.vocab_size());
  uint32_t id = text.sample(prompt_logits_);
  while (text.push(id)) {
    const auto tokens = speculator.next(id, static_cast<uint64_t>(text.length()), text.left());
    text.result().speculation = speculator.counts();
    for (const uint32_t token : tokens.first(tokens.size() - 1)) {
      if (!text.push(token)) return;
    }
    id = tokens.back();
  }
}

}  // namespace mythos
