#include "eval/decode_likelihood.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "base/strings.h"
#include "eval/windows.h"
#include "model/exit_criteria.h"

namespace mythos {
namespace {

// Whether a document begins at a position of a window, where the batch keeps documents apart.
bool begins_document(const Batch& batch, size_t place, int64_t at) {
  return !batch.document_begins.empty() && batch.document_begins[place] == at;
}

// Decodes windows side by side, each in a row of the cache that serves one window after the other.
class Windows {
 public:
  Windows(Decoder& decoder, int64_t count, int64_t loops, int64_t seq_len)
      : decoder_(decoder), logits_(at::empty({count, decoder.config().vocab_size})) {
    const int64_t latent = decoder.config().latent_token;
    const ExitRule exit = decoder.options().exit;
    if (latent >= 0 && compares_outputs(exit)) {
      fail(ErrorKind::usage,
           strprintf("exit by %s leaves no last hidden state, which the latent token of this model "
                     "(model.latent_token = %d) needs.",
                     enum_name(exit), latent),
           "Choose --exit latent");
    }
    if (latent >= 0) thoughts_ = at::empty({count, decoder.config().dim});
    if (decoder.options().warm_start) states_ = at::empty({count, decoder.config().dim});
    for (int64_t i = 0; i < count; ++i) caches_.push_back(decoder.make_cache(loops, seq_len));
  }

  // The sum of −log p over the targets of the batch; counts the loops that their tokens ran.
  double nats(const Batch& batch, std::vector<int64_t>& loops_run) {
    double sum = 0;
    for (const auto& cache : caches_) cache->truncate(0);
    ends_.clear();
    for (int64_t window = 0; window < batch.batch_size; ++window) {
      const auto first = batch.targets.begin() + window * batch.seq_len;
      int64_t end = batch.seq_len;
      while (end > 0 && first[end - 1] < 0) --end;
      ends_.push_back(end);
    }
    for (int64_t at = 0; at < batch.seq_len; ++at) sum += step(batch, at, loops_run);
    return sum;
  }

  int64_t cache_bytes_per_token() const { return caches_.front()->bytes_per_token(); }

 private:
  // Decodes one token of every window that still has targets. A token without a target is context.
  double step(const Batch& batch, int64_t at, std::vector<int64_t>& loops_run) {
    std::vector<Decoder::Row> rows;
    std::vector<int64_t> targets;
    for (int64_t window = 0; window < batch.batch_size; ++window) {
      const auto place = static_cast<size_t>(window * batch.seq_len + at);
      if (at >= ends_[static_cast<size_t>(window)]) continue;
      const bool scored = batch.targets[place] >= 0;
      const bool begins = at == 0 || begins_document(batch, place, at);
      if (begins && at > 0) caches_[static_cast<size_t>(window)]->truncate(0);
      const auto row = static_cast<int64_t>(targets.size());
      rows.push_back({caches_[static_cast<size_t>(window)].get(),
                      static_cast<uint32_t>(batch.inputs[place]), 0,
                      scored ? logits_.data_ptr<float>() + row * logits_.size(1) : nullptr, 0});
      if (thoughts_.defined()) {
        float* thought = thoughts_.data_ptr<float>() + window * thoughts_.size(1);
        rows.back().hidden = thought;
        if (batch.inputs[place] == decoder_.config().latent_token) rows.back().input = thought;
      }
      if (states_.defined()) {
        float* state = states_.data_ptr<float>() + window * states_.size(1);
        rows.back().last_state = state;
        if (!begins) rows.back().first_state = state;
      }
      if (scored) targets.push_back(batch.targets[place]);
    }
    if (rows.empty()) return 0;
    decoder_.step(rows);
    for (const Decoder::Row& row : rows) {
      if (row.logits) ++loops_run[static_cast<size_t>(row.loops_run - 1)];
    }
    if (targets.empty()) return 0;
    const auto count = static_cast<int64_t>(targets.size());
    const Tensor wanted = at::from_blob(targets.data(), {count}, at::kLong);
    return at::cross_entropy_loss(logits_.narrow(0, 0, count), wanted, {}, at::Reduction::None)
        .sum(at::kDouble)
        .item<double>();
  }

  Decoder& decoder_;
  Tensor logits_;
  Tensor thoughts_;  // [count,D] last hidden states; undefined without a latent token
  Tensor states_;    // [count,D] what the next tokens start from; undefined without warm_start
  std::vector<std::unique_ptr<KvCache>> caches_;
  std::vector<int64_t> ends_;  // for each window of the batch, the position after its last target
};

}  // namespace

Likelihood evaluate_decode(Decoder& decoder, const ShardDirectory& data,
                           const std::vector<int32_t>& byte_lengths,
                           const LikelihoodOptions& options) {
  const at::NoGradGuard no_grad;
  const Stopwatch watch;
  const ModelConfig& config = decoder.config();
  const int64_t batch_size = options.batch_size > 0 ? options.batch_size : Decoder::kMaxRows;
  Likelihood out;
  out.loops = options.loops > 0 ? options.loops : config.max_loop_iters;
  out.loops_run.resize(static_cast<size_t>(out.loops));
  Windows windows(decoder, batch_size, out.loops, options.seq_len);
  for_each_batch(data, byte_lengths, options, batch_size, config.latent_token, out,
                 [&](Batch& batch) { out.nats += windows.nats(batch, out.loops_run); });
  out.cache_bytes_per_token = windows.cache_bytes_per_token();
  const ExitRule exit = decoder.options().exit;
  if (exit == ExitRule::none && config.halting != Halting::act) {
    out.loops_run.clear();
  } else {
    count_saved(config, options.seq_len, compares_outputs(exit), out);
  }
  out.seconds = watch.seconds();
  return out;
}

}  // namespace mythos
