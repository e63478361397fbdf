#include "infer/engine/decoder.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <mutex>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "device/device.h"
#include "infer/engine/native_decoder.h"
#include "ops/attention/attention.h"

namespace mythos {
namespace {

at::Device device_of(const Model& model) {
  return model.parameters.items().front().tensor.device();
}

Weights weights_of(const Model& model, const Decoder::Options& options) {
  const c10::InferenceMode guard;
  const auto type = resolve_compute_type(options.compute_type, device_of(model));
  if (options.weights == WeightFormat::plain) {
    return make_weights(model.config, model.parameters, type);
  }
  Parameters copy = model.parameters;  // shares the tensors
  return make_inference_weights(model.config, std::move(copy), type, options.weights);
}

Weights weights_of(Model&& model, const Decoder::Options& options,
                   const PrepareParameter& prepare) {
  const c10::InferenceMode guard;
  const auto type = resolve_compute_type(options.compute_type, device_of(model));
  return make_inference_weights(model.config, std::move(model.parameters), type, options.weights,
                                prepare);
}

Tensor to_tensor(std::span<const uint32_t> ids, at::Device device) {
  Tensor tensor = at::empty({1, static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), tensor.data_ptr<int64_t>());
  return tensor.to(device);
}

void check_plain_exit(ExitRule exit, Halting halting) {
  if (plain_path_offers(exit, halting)) return;
  const std::string of =
      exit == ExitRule::halting
          ? strprintf(" of a model with model.halting %s", std::string(enum_name(halting)).c_str())
          : "";
  fail(ErrorKind::usage, strprintf("exit by %s%s is computed on the CPU; choose --device cpu",
                                   std::string(enum_name(exit)).c_str(), of.c_str()));
}

void copy_logits(const Weights& weights, const Tensor& hidden, float* to) {
  const Tensor scores = logits(weights, hidden).to(at::kCPU, at::kFloat).contiguous();
  std::copy_n(scores.data_ptr<float>(), scores.numel(), to);
}

}  // namespace

bool plain_path_offers(ExitRule exit, Halting halting) {
  return exit == ExitRule::none || (exit == ExitRule::halting && halting == Halting::act);
}

std::string slow_weights(WeightFormat weights, at::Device device) {
  if (!device.is_cuda() || weights == WeightFormat::plain) return "";
  return strprintf(
      "%s weights are slower than bf16 on a CUDA device: each use rebuilds a matrix. "
      "Leave out --weights unless the model does not fit otherwise",
      std::string(enum_name(weights)).c_str());
}

Decoder::Decoder(const ModelConfig& config, Weights weights, const Options& options)
    : config_(config), weights_(std::move(weights)), options_(options) {
  if (options_.prefill_chunk < 1) {
    fail(ErrorKind::usage, strprintf("prefill-chunk is %lld; allowed: 1 or more",
                                     static_cast<long long>(options_.prefill_chunk)));
  }
  if (options_.exit == ExitRule::halting && config_.halting == Halting::none) {
    fail(ErrorKind::usage,
         "exit by halting: the model has no halting head (model.halting is none).",
         "Choose latent or kl");
  }
  if (options_.native && device().is_cpu()) {
    native_ = std::make_unique<NativeDecoder>(config_, weights_, options_);
  } else {
    check_plain_exit(options_.exit, config_.halting);
  }
  if (const std::string slow = slow_weights(options_.weights, device()); !slow.empty()) {
    static std::once_flag told;
    std::call_once(told, [&] { log_warning(slow); });
  }
}

Decoder::Decoder(const Model& model, const Options& options)
    : Decoder(model.config, weights_of(model, options), options) {}

Decoder::Decoder(Model&& model, const Options& options, const PrepareParameter& prepare)
    : Decoder(ModelConfig(model.config), weights_of(std::move(model), options, prepare), options) {}

Decoder::~Decoder() = default;

std::unique_ptr<KvCache> Decoder::make_cache(int64_t loops, int64_t capacity_tokens) const {
  const c10::InferenceMode guard;
  return std::make_unique<KvCache>(config_, loops, 1, capacity_tokens, device(),
                                   weights_.compute_type, options_.cache);
}

void Decoder::step(std::span<Row> rows) {
  if (rows.empty()) return;
  const c10::InferenceMode guard;
  const WithoutCudnnAttention without_plans;
  if (!native_) return plain_step(rows);
  for (; !rows.empty(); rows = rows.subspan(std::min<size_t>(kMaxRows, rows.size()))) {
    native_->step(rows.first(std::min<size_t>(kMaxRows, rows.size())));
  }
}

// Sequence by sequence.
void Decoder::plain_step(std::span<Row> rows) {
  for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    KvCache& cache = *rows[begin].cache;
    std::vector<uint32_t> ids;
    ForwardOptions options;
    options.cache = &cache;
    options.loops = rows[begin].loops > 0 ? rows[begin].loops : cache.loops();
    for (; end < rows.size() && rows[end].cache == &cache; ++end) ids.push_back(rows[end].id);
    const ForwardResult result = forward(config_, weights_, to_tensor(ids, device()), options);
    const Tensor halted = result.loops_run.defined() ? result.loops_run.to(at::kCPU) : Tensor();
    for (size_t i = begin; i < end; ++i) {
      const auto place = static_cast<int64_t>(i - begin);
      rows[i].loops_run = halted.defined() ? halted[0][place].item<int64_t>() : options.loops;
      if (!rows[i].logits) continue;
      copy_logits(weights_, result.hidden.select(1, place), rows[i].logits);
    }
  }
}

bool Decoder::prefill(KvCache& cache, std::span<const uint32_t> ids, float* logits,
                      const std::function<bool()>& cancelled) {
  const c10::InferenceMode guard;
  const WithoutCudnnAttention without_plans;
  const auto count = static_cast<int64_t>(ids.size());
  const int64_t before = cache.length();
  cache.reserve(before + count);
  ForwardOptions options;
  options.loops = cache.loops();
  options.cache = &cache;
  options.last_only = true;
  for (int64_t first = 0; first < count;) {
    if (cancelled && cancelled()) {
      cache.truncate(before);
      return false;
    }
    const int64_t size = std::min(options_.prefill_chunk, count - first);
    const auto chunk = ids.subspan(static_cast<size_t>(first), static_cast<size_t>(size));
    first += size;
    if (native_ && size <= NativeDecoder::kPromptRows) {
      native_->feed(cache, chunk, first == count ? logits : nullptr);
      continue;
    }
    const Tensor hidden = forward(config_, weights_, to_tensor(chunk, device()), options).hidden;
    if (first == count) copy_logits(weights_, hidden.select(1, 0), logits);
  }
  return true;
}

}  // namespace mythos
