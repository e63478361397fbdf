#include "infer/engine/session.h"

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

constexpr int64_t kSpareTokens = 256;

}  // namespace

Session::Session(const Model& model, const Options& options)
    : decoder_(std::make_unique<Decoder>(model, options)) {
  set_loops(options.loops, options.exits && options.exit != ExitRule::none);
}

Session::Session(Model&& model, const Options& options)
    : decoder_(std::make_unique<Decoder>(std::move(model), options)) {
  set_loops(options.loops, options.exits && options.exit != ExitRule::none);
}

void Session::set_loops(int64_t loops, bool exits) {
  if (loops < 0 || loops > kMaxLoops) {
    fail(ErrorKind::usage, strprintf("loops is %d; allowed: 1 to %d", loops, kMaxLoops));
  }
  check_exits(*decoder_, exits);
  exits_ = exits;
  loops_ = loops == 0 ? decoder_->config().max_loop_iters : loops;
  cache_.reset();
}

void Session::truncate(int64_t tokens) {
  if (cache_ && tokens < cache_->length()) cache_->truncate(tokens);
}

void check_tokens(const ModelConfig& config, int64_t before, std::span<const uint32_t> ids) {
  if (ids.empty()) fail(ErrorKind::internal, "no tokens to feed to the model");
  const auto count = static_cast<int64_t>(ids.size());
  if (before + count > config.max_seq_len) {
    const std::string behind = before ? strprintf(" behind %s tokens", with_commas(before)) : "";
    fail(ErrorKind::data,
         strprintf("the prompt has %s tokens%s, but the model's context holds %s (max_seq_len).",
                   with_commas(count), behind, with_commas(config.max_seq_len)),
         strprintf("Shorten the prompt by %s tokens, or use a model with a longer max_seq_len",
                   with_commas(before + count - config.max_seq_len)));
  }
  for (const uint32_t id : ids) {
    if (id >= config.vocab_size) {
      fail(ErrorKind::data, strprintf("token id %u is outside the model's vocabulary of %s tokens; "
                                      "is this the tokenizer it was trained with?",
                                      id, with_commas(config.vocab_size)));
    }
  }
}

void check_exits(const Decoder& decoder, bool exits) {
  if (!exits || decoder.options().exit != ExitRule::none) return;
  fail(ErrorKind::usage,
       "loops is auto, which is computed on the CPU; choose --device cpu, or a number of loops");
}

std::unique_ptr<KvCache> make_sequence_cache(const Decoder& decoder, int64_t loops,
                                             int64_t prompt_tokens) {
  return decoder.make_cache(loops,
                            std::min(decoder.config().max_seq_len, prompt_tokens + kSpareTokens));
}

std::vector<float> Session::feed(std::span<const uint32_t> ids,
                                 const std::function<bool()>& cancelled) {
  check_tokens(decoder_->config(), length(), ids);
  if (!cache_) {
    cache_ = make_sequence_cache(*decoder_, loops_, static_cast<int64_t>(ids.size()));
  }
  std::vector<float> logits(static_cast<size_t>(vocab_size()));
  if (!decoder_->prefill(*cache_, ids, logits.data(), cancelled)) return {};
  return logits;
}

int64_t Session::step(std::span<const uint32_t> ids, int64_t loops, std::span<float> logits) {
  rows_.clear();
  for (size_t i = 0; i < ids.size(); ++i) {
    float* to = logits.data() + i * static_cast<size_t>(vocab_size());
    rows_.push_back({cache_.get(), ids[i], loops, to, 0, !exits_});
  }
  decoder_->step(rows_);
  int64_t loops_run = 0;
  for (const Decoder::Row& row : rows_) loops_run += row.loops_run;
  return loops_run;
}

}  // namespace mythos
