#include "eval/likelihood.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <algorithm>
#include <cmath>
#include <numbers>

#include "eval/windows.h"

namespace mythos {
namespace {

constexpr int64_t kBatchTokens = 8192;
constexpr uint64_t kReadTokens = 1 << 16;

// Counts the tokens that have a target, by the loops that they ran, into `counts` [T+1] int64.
void count_loops(const Tensor& loops_run, const Tensor& targets, Tensor& counts) {
  counts += loops_run.masked_select(targets >= 0).bincount({}, counts.numel());
}

Tensor inputs_of(Batch& batch, at::Device device) {
  return at::from_blob(batch.inputs.data(), {batch.batch_size, batch.seq_len}, at::kLong)
      .to(device);
}

// Calls f(ids) for the tokens that count among begin … end-1 of a split, piece by piece.
template <class F>
void for_each_piece(const ShardDirectory& data, ShardDirectory::Split split, uint64_t begin,
                    uint64_t end, F&& f) {
  std::vector<uint32_t> ids, mask;
  for (uint64_t first = begin; first < end; first += kReadTokens) {
    ids.resize(std::min(kReadTokens, end - first));
    mask.resize(ids.size());
    data.read(split, first, ids);
    data.read_mask(split, first, mask);
    size_t counted = 0;
    for (size_t i = 0; i < ids.size(); ++i)
      if (mask[i] != 0) ids[counted++] = ids[i];
    ids.resize(counted);
    f(ids);
  }
}

}  // namespace

double Likelihood::loss() const {
  return nats / static_cast<double>(tokens);
}
double Likelihood::perplexity() const {
  return std::exp(loss());
}
double Likelihood::bits_per_byte() const {
  return nats / std::numbers::ln2 / static_cast<double>(bytes);
}
double Likelihood::tokens_per_second() const {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}
double Likelihood::mean_loops() const {
  double sum = 0, count = 0;
  for (size_t i = 0; i < loops_run.size(); ++i) {
    sum += static_cast<double>(loops_run[i]) * static_cast<double>(i + 1);
    count += static_cast<double>(loops_run[i]);
  }
  return sum / count;
}

Likelihood evaluate(const ModelConfig& config, const Weights& weights, const ShardDirectory& data,
                    const std::vector<int32_t>& byte_lengths, const LikelihoodOptions& options) {
  const at::NoGradGuard no_grad;
  const Stopwatch watch;
  const auto device = weights.embed.device();
  const int64_t batch_size = options.batch_size > 0
                                 ? options.batch_size
                                 : std::max<int64_t>(1, kBatchTokens / options.seq_len);
  Likelihood out;
  out.loops = options.loops > 0 ? options.loops : config.max_loop_iters;
  ForwardOptions forward_options;
  forward_options.loops = out.loops;
  forward_options.experts = options.experts;
  forward_options.blocks = options.blocks;
  const bool together = options.experts || options.blocks;
  Tensor nats = at::zeros({}, at::dtype(at::kDouble).device(device));
  Tensor counts = at::zeros({out.loops + 1}, at::dtype(at::kLong).device(device));
  bool first = true;
  int64_t number = 0;
  Tensor others;  // inputs of the newest batch that another process runs
  for_each_batch(
      data, byte_lengths, options, batch_size, config.latent_token, out, [&](Batch& batch) {
        if (number++ % options.parts != options.part) {
          first = false;
          if (together) others = inputs_of(batch, device).clone();
          return;
        }
        const std::vector<int64_t> shape = {batch.batch_size, batch.seq_len};
        const Tensor inputs = inputs_of(batch, device);
        const Tensor targets = at::from_blob(batch.targets.data(), shape, at::kLong).to(device);
        ForwardOptions of_batch = forward_options;
        if (!batch.document_begins.empty()) {
          of_batch.document_begins =
              at::from_blob(batch.document_begins.data(), shape, at::kInt).to(device);
        }
        const ForwardResult result = forward(config, weights, inputs, of_batch);
        // Only the first window of a stream has targets at positions that windows share, which need
        // no logits.
        const bool shares = options.stride > 0 && options.packing == Packing::contiguous;
        const int64_t known = shares && !first ? options.seq_len - options.stride : 0;
        first = false;
        const int64_t scored = options.seq_len - known;
        nats += token_losses(weights, result.hidden.narrow(1, known, scored),
                             targets.narrow(1, known, scored))
                    .sum(at::kDouble);
        if (result.loops_run.defined()) count_loops(result.loops_run, targets, counts);
      });
  if (together && number % options.parts > 0 && options.part >= number % options.parts) {
    forward(config, weights, others, forward_options);
  }
  if (options.combine) {
    options.combine(nats);
    options.combine(counts);
  }
  out.nats = nats.item<double>();
  if (config.halting == Halting::act) {
    const Tensor from_one = counts.slice(0, 1).to(at::kCPU).contiguous();
    out.loops_run.assign(from_one.data_ptr<int64_t>(),
                         from_one.data_ptr<int64_t>() + from_one.numel());
    count_saved(config, options.seq_len, false, out);
  }
  out.seconds = watch.seconds();
  return out;
}

Likelihood unigram_baseline(const ShardDirectory& data, const std::vector<int32_t>& byte_lengths,
                            ShardDirectory::Split split, int64_t max_tokens, Packing packing) {
  const Stopwatch watch;
  Likelihood out;
  const auto end = static_cast<uint64_t>(target_count(data, split, max_tokens)) + 1;
  std::vector<double> counts(byte_lengths.size(), 1);
  const auto train = ShardDirectory::Split::train;
  for_each_piece(data, train, 0, data.tokens(train), [&](const std::vector<uint32_t>& ids) {
    for (const uint32_t id : ids) ++counts.at(id);
  });
  const double total =
      static_cast<double>(data.counted(train)) + static_cast<double>(counts.size());
  const auto add = [&](const std::vector<uint32_t>& ids) {
    for (const uint32_t id : ids) {
      out.nats -= std::log(counts.at(id) / total);
      ++out.tokens;
      out.bytes += byte_lengths.at(id);
    }
  };
  if (packing == Packing::contiguous) {
    for_each_piece(data, split, 1, end, add);
  } else {  // a document's first token is no target
    for (uint64_t i = 0, begin = 0; begin < end; ++i) {
      const uint64_t next = std::min(end, data.document_begin(split, i + 1));
      if (begin + 1 < next) for_each_piece(data, split, begin + 1, next, add);
      begin = next;
    }
  }
  out.seconds = watch.seconds();
  return out;
}

}  // namespace mythos
