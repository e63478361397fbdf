#include "infer/engine/generation.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

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
    fail(ErrorKind::usage, strprintf("max-tokens is %d; allowed: 1 or more", max_tokens));
  }
}

void Confidence::add(std::span<const float> logits) {
  float first = -INFINITY, second = -INFINITY;
  for (const float x : logits) {
    second = std::max(second, std::min(first, x));
    first = std::max(first, x);
  }
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - first);
  ++tokens;
  top += 1 / sum;
  margin += (1 - std::exp(second - first)) / sum;
}

double Generation::prefill_tokens_per_second() const {
  return rate(computed_prompt_tokens, prefill_seconds);
}

double Generation::decode_tokens_per_second() const {
  return rate(decode_steps, decode_seconds);
}

double Generation::mean_loops() const {
  if (loops_run == 0) return static_cast<double>(loops);
  return static_cast<double>(loops_run) / static_cast<double>(decode_steps);
}

std::vector<uint32_t> prompt_ids(const Tokenizer& tokenizer, std::string_view text,
                                 const std::optional<DocumentEnds>& documents) {
  std::vector<uint32_t> ids;
  const auto bos = tokenizer.bos_id(), eos = tokenizer.eos_id();
  if (documents && documents->bos != Share::none && bos) ids.push_back(*bos);
  tokenizer.encode(text, ids, Specials::as_text);
  if (!ids.empty()) return ids;
  if (!documents && bos) return {*bos};
  if ((!documents || documents->eos != Share::none) && eos) return {*eos};
  fail(ErrorKind::data, std::string("the prompt is empty, and ") +
                            (documents ? "documents began and ended without a token in training"
                                       : "the tokenizer has neither a BOS nor an EOS token") +
                            ", so there is none to start from; give at least one character");
}

void check_tokenizer(const Tokenizer& tokenizer, int64_t vocab_size) {
  if (tokenizer.vocab_size() <= vocab_size) return;
  fail(ErrorKind::data,
       strprintf("the tokenizer has %s tokens, but the model's vocabulary has %s (vocab_size); "
                 "is this the tokenizer it was trained with?",
                 with_commas(tokenizer.vocab_size()), with_commas(vocab_size)));
}

Continuation::Continuation(const Tokenizer& tokenizer, const GenerateOptions& options,
                           int64_t prompt_tokens, int64_t context_tokens, Sink sink)
    : tokenizer_(tokenizer),
      options_(options),
      room_(context_tokens - prompt_tokens),
      sink_(std::move(sink)),
      decoder_(tokenizer),
      filter_(options.stop) {
  options_.validate();
  out_.prompt_tokens = prompt_tokens;
}

uint32_t Continuation::sample(std::span<const float> logits) const {
  // A model's vocabulary may be padded beyond the tokenizer's; those ids mean nothing.
  return sample_token(logits.first(static_cast<size_t>(tokenizer_.vocab_size())), options_.sampling,
                      options_.stream, out_.ids.size());
}

bool Continuation::push(uint32_t id) {
  out_.decode_steps = length();
  if (ends_document(id)) return end(StopReason::eos);
  out_.ids.push_back(id);
  show(filter_.push(decoder_.push(id)));
  if (filter_.stopped()) return end(StopReason::stop);
  if (length() >= options_.max_tokens) return end(StopReason::max_tokens);
  if (length() > room_) return end(StopReason::context);
  return true;
}

int64_t Continuation::left() const {
  return std::min(options_.max_tokens, room_ + 1) - length();
}

// BOS begins the next document, which tells where those end that have no EOS.
bool Continuation::ends_document(uint32_t id) const {
  const bool begins = options_.documents && options_.documents->bos != Share::none;
  if (std::find(options_.stop_ids.begin(), options_.stop_ids.end(), id) !=
      options_.stop_ids.end()) {
    return true;
  }
  return tokenizer_.eos_id() == id || (begins && tokenizer_.bos_id() == id);
}

bool Continuation::end(StopReason reason) {
  out_.reason = reason;
  return false;
}

void Continuation::show(const std::string& text) {
  out_.text += text;
  if (sink_ && !text.empty()) sink_(text);
}

Generation Continuation::finish() {
  if (!filter_.stopped()) {
    // The last bytes may complete a stop string too.
    show(filter_.push(decoder_.finish()));
    if (filter_.stopped()) {
      end(StopReason::stop);
    } else {
      show(filter_.finish());
    }
  }
  out_.stop = filter_.matched();
  return std::move(out_);
}

}  // namespace mythos
