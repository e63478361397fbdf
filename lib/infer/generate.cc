#include "infer/generate.h"

#include <chrono>

#include "base/error.h"
#include "base/strings.h"
#include "infer/stop_filter.h"

namespace mythos {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double rate(int64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

}  // namespace

std::string_view stop_reason_name(StopReason reason) {
  constexpr std::string_view names[] = {"eos", "stop", "max_tokens", "context", "interrupted"};
  return names[static_cast<int>(reason)];
}

void GenerateOptions::validate() const {
  sampling.validate();
  if (max_tokens < 1) {
    fail(ErrorKind::usage,
         strprintf("max-tokens is %lld; allowed: 1 or more", static_cast<long long>(max_tokens)));
  }
}

double Generation::prefill_tokens_per_second() const {
  return rate(prompt_tokens, prefill_seconds);
}

double Generation::decode_tokens_per_second() const {
  return rate(decode_steps, decode_seconds);
}

std::vector<uint32_t> prompt_ids(const Tokenizer& tokenizer, std::string_view text) {
  if (!text.empty()) return tokenizer.encode(text);
  if (const auto id = tokenizer.bos_id()) return {*id};
  if (const auto id = tokenizer.eos_id()) return {*id};
  fail(ErrorKind::data,
       "the prompt is empty and the tokenizer has neither a BOS nor an EOS token to start from; "
       "give at least one character");
}

Generator::Generator(Session& session, const Tokenizer& tokenizer)
    : session_(session), tokenizer_(tokenizer) {
  if (tokenizer.vocab_size() > session.vocab_size()) {
    fail(ErrorKind::data,
         strprintf("the tokenizer has %s tokens, but the model's vocabulary has %s (vocab_size); "
                   "is this the tokenizer it was trained with?",
                   with_commas(tokenizer.vocab_size()).c_str(),
                   with_commas(session.vocab_size()).c_str()));
  }
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
  options.validate();
  if (prompt_logits_.empty()) fail(ErrorKind::internal, "generate() before set_prompt()");
  const auto start = Clock::now();
  Generation out;
  out.prompt_tokens = prompt_tokens_;
  out.prefill_seconds = prefill_seconds_;
  StreamDecoder decoder(tokenizer_);
  StopFilter filter(options.stop);
  const auto show = [&](const std::string& text) {
    out.text += text;
    if (sink && !text.empty()) sink(text);
  };
  // A model's vocabulary may be padded beyond the tokenizer's; those ids mean nothing.
  const auto drawable = static_cast<size_t>(tokenizer_.vocab_size());
  session_.truncate(prompt_tokens_);
  std::vector<float> logits = prompt_logits_;
  while (true) {
    const uint32_t id = sample_token(std::span(logits).first(drawable), options.sampling,
                                     options.stream, out.ids.size());
    out.reason = StopReason::eos;
    if (tokenizer_.eos_id() == id) break;
    out.ids.push_back(id);
    show(filter.push(decoder.push(id)));
    out.reason = StopReason::stop;
    if (filter.stopped()) break;
    out.reason = StopReason::max_tokens;
    if (static_cast<int64_t>(out.ids.size()) >= options.max_tokens) break;
    out.reason = StopReason::context;
    if (session_.length() >= session_.context_tokens()) break;
    out.reason = StopReason::interrupted;
    if (options.cancelled && options.cancelled()) break;
    logits = session_.feed(std::span(&id, 1));
    ++out.decode_steps;
  }
  if (!filter.stopped()) {
    // The last bytes may complete a stop string too.
    show(filter.push(decoder.finish()));
    if (filter.stopped()) {
      out.reason = StopReason::stop;
    } else {
      show(filter.finish());
    }
  }
  out.stop = filter.matched();
  out.decode_seconds = seconds_since(start);
  return out;
}

}  // namespace mythos
