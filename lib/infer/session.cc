#include "infer/session.h"

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

// Room for an answer behind a prompt before the cache has to grow.
constexpr int64_t kSpareTokens = 256;

}  // namespace

Session::Session(const Model& model, const Options& options)
    : decoder_(std::make_unique<Decoder>(model, options)) {
  set_loops(options.loops);
}

Session::Session(Model&& model, const Options& options)
    : decoder_(std::make_unique<Decoder>(std::move(model), options)) {
  set_loops(options.loops);
}

void Session::set_loops(int64_t loops) {
  if (loops < 0 || loops > kMaxLoops) {
    fail(ErrorKind::usage,
         strprintf("loops is %lld; allowed: 1 to %lld", static_cast<long long>(loops),
                   static_cast<long long>(kMaxLoops)));
  }
  loops_ = loops == 0 ? decoder_->config().max_loop_iters : loops;
  cache_.reset();
}

void Session::truncate(int64_t tokens) {
  if (cache_ && tokens < cache_->length()) cache_->truncate(tokens);
}

void Session::check(std::span<const uint32_t> ids) const {
  if (ids.empty()) fail(ErrorKind::internal, "no tokens to feed to the model");
  const auto count = static_cast<int64_t>(ids.size());
  if (length() + count > context_tokens()) {
    const std::string before =
        length() ? strprintf(" behind %s tokens", with_commas(length()).c_str()) : "";
    fail(
        ErrorKind::data,
        strprintf("the prompt has %s tokens%s, but the model's context holds %s (max_seq_len).\n"
                  "Shorten the prompt by %s tokens, or use a model with a longer max_seq_len",
                  with_commas(count).c_str(), before.c_str(), with_commas(context_tokens()).c_str(),
                  with_commas(length() + count - context_tokens()).c_str()));
  }
  for (const uint32_t id : ids) {
    if (id >= vocab_size()) {
      fail(ErrorKind::data, strprintf("token id %u is outside the model's vocabulary of %s tokens; "
                                      "is this the tokenizer it was trained with?",
                                      id, with_commas(vocab_size()).c_str()));
    }
  }
}

std::vector<float> Session::feed(std::span<const uint32_t> ids,
                                 const std::function<bool()>& cancelled) {
  check(ids);
  if (!cache_) {
    const auto count = static_cast<int64_t>(ids.size());
    cache_ = decoder_->make_cache(loops_, std::min(context_tokens(), count + kSpareTokens));
  }
  std::vector<float> logits(static_cast<size_t>(vocab_size()));
  if (!decoder_->prefill(*cache_, ids, logits.data(), cancelled)) return {};
  return logits;
}

}  // namespace mythos
