#include "infer/session.h"

#include <ATen/Functions.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "kernels/device.h"

namespace mythos {
namespace {

// Room for an answer behind a prompt before the cache has to grow.
constexpr int64_t kSpareTokens = 256;

Tensor to_tensor(std::span<const uint32_t> ids, torch::Device device) {
  Tensor tensor = torch::empty({1, static_cast<int64_t>(ids.size())}, torch::kInt64);
  std::copy(ids.begin(), ids.end(), tensor.data_ptr<int64_t>());
  return tensor.to(device);
}

}  // namespace

Session::Session(const Model& model, const Options& options)
    : config_(model.config),
      device_(model.parameters.items().front().tensor.device()),
      loops_(options.loops),
      prefill_chunk_(options.prefill_chunk) {
  if (prefill_chunk_ < 1) {
    fail(ErrorKind::usage, strprintf("prefill-chunk is %lld; allowed: 1 or more",
                                     static_cast<long long>(prefill_chunk_)));
  }
  const c10::InferenceMode guard;
  weights_ =
      make_weights(config_, model.parameters, resolve_compute_type(options.compute_type, device_));
  set_loops(options.loops);
}

void Session::set_loops(int64_t loops) {
  if (loops < 0 || loops > kMaxLoops) {
    fail(ErrorKind::usage,
         strprintf("loops is %lld; allowed: 1 to %lld", static_cast<long long>(loops),
                   static_cast<long long>(kMaxLoops)));
  }
  loops_ = loops == 0 ? config_.max_loop_iters : loops;
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
  const c10::InferenceMode guard;
  const int64_t begin = length();
  const auto count = static_cast<int64_t>(ids.size());
  if (!cache_) {
    const int64_t capacity = std::min(context_tokens(), count + kSpareTokens);
    cache_ =
        std::make_unique<KvCache>(config_, loops_, 1, capacity, device_, weights_.compute_type);
  }
  ForwardOptions options;
  options.loops = loops_;
  options.cache = cache_.get();
  Tensor last;  // [1,D]
  for (int64_t first = 0; first < count; first += prefill_chunk_) {
    if (cancelled && cancelled()) {
      truncate(begin);
      return {};
    }
    const int64_t size = std::min(prefill_chunk_, count - first);
    const auto chunk = ids.subspan(static_cast<size_t>(first), static_cast<size_t>(size));
    last =
        forward(config_, weights_, to_tensor(chunk, device_), options).hidden.select(1, size - 1);
  }
  const Tensor scores = logits(weights_, last).to(torch::kCPU, torch::kFloat32).contiguous();
  const float* data = scores.data_ptr<float>();
  return {data, data + scores.numel()};
}

}  // namespace mythos
