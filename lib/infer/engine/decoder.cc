#include "infer/engine/decoder.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/cache_basis.h"
#include "device/device.h"
#include "model/exit_criteria.h"
#include "ops/attention/attention.h"

namespace mythos {
namespace {

at::Device device_of(const Model& model) {
  return model.parameters.device();
}

Weights weights_of(const Model& model, const Decoder::Options& options) {
  const c10::InferenceMode guard;
  const auto type = resolve_compute_type(options.compute_type, device_of(model));
  const StoredBf16 stored = stored_bf16(options.compute_type, device_of(model));
  if (options.weights == WeightFormat::plain) {
    return make_weights(model.config, model.parameters, type, {}, stored);
  }
  Parameters copy = model.parameters;  // shares the tensors
  return make_inference_weights(model.config, std::move(copy), type, options.weights, {}, stored);
}

Weights weights_of(Model&& model, const Decoder::Options& options,
                   const PrepareParameter& prepare) {
  const c10::InferenceMode guard;
  const at::Device device = device_of(model);
  return make_inference_weights(model.config, std::move(model.parameters),
                                resolve_compute_type(options.compute_type, device), options.weights,
                                prepare, stored_bf16(options.compute_type, device));
}

Tensor to_tensor(std::span<const uint32_t> ids, at::Device device) {
  Tensor tensor = at::empty({1, static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), tensor.data_ptr<int64_t>());
  return tensor.to(device);
}

// Prompts of up to this many tokens go through the program of rows; longer ones repay tensors,
// whose products are blocked.
constexpr int64_t kPromptRows = 16;

void copy_numbers(const Tensor& from, float* to) {
  const Tensor numbers = from.to(at::kCPU, at::kFloat).contiguous();
  std::copy_n(numbers.data_ptr<float>(), numbers.numel(), to);
}

}  // namespace

std::string slow_weights(WeightFormat weights, at::Device device) {
  if (!device.is_cuda() || weights == WeightFormat::plain) return "";
  return strprintf(
      "%s weights are slower than bf16 on a CUDA device: each use rebuilds a matrix. "
      "Leave out --weights unless the model does not fit otherwise",
      enum_name(weights));
}

Decoder::Decoder(const ModelConfig& config, Weights weights, const Options& options)
    : config_(config), weights_(std::move(weights)), options_(options) {
  if (options_.prefill_chunk < 1) {
    fail(ErrorKind::usage,
         strprintf("prefill-chunk is %d; allowed: 1 or more", options_.prefill_chunk));
  }
  check_exit(config_, options_.exit);
  if (options_.warm_start && config_.injection == Injection::none) {
    fail(ErrorKind::usage,
         "warm-start: the first state is all that this model knows of a token (model.injection is "
         "none).",
         "Leave out --warm-start");
  }
  const bool draws = options_.state_seed != 0 || options_.state_scale != 1;
  if (draws && config_.initial_state != InitialState::random) {
    fail(ErrorKind::usage,
         strprintf("state-seed and state-scale are about random first states; this model's first "
                   "state is %s (model.initial_state).",
                   enum_name(config_.initial_state)),
         "Leave them out");
  }
  if (options_.cache.sharing == CacheSharing::low_rank) {
    basis_ = load_cache_basis(options_.cache.basis, config_, weights_.embed);
  }
  if (options_.native && !options_.experts && device().is_cpu()) {
    const Exit exit{options_.exit, options_.threshold()};
    const StateDraw draw{options_.state_seed, options_.state_scale};
    program_ = std::make_unique<RowProgram>(config_, weights_, exit, draw);
    if (compares_outputs(exit.rule)) {
      full_depth_program_ = std::make_unique<RowProgram>(config_, weights_, Exit{}, draw);
    }
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
  return mythos::make_cache(config_, loops, 1, capacity_tokens, device(), weights_.compute_type,
                            options_.cache, basis_);
}

void Decoder::check_loops(int64_t loops) const {
  if (basis_) require_loops(*basis_, loops);
}

void Decoder::step(std::span<Row> rows) {
  if (rows.empty()) return;
  const c10::InferenceMode guard;
  const WithoutCudnnAttention without_plans;
  program_ ? row_step(rows) : tensor_step(rows);
}

void Decoder::row_step(std::span<Row> rows) {
  while (!rows.empty()) {
    const auto some = rows.first(std::min<size_t>(kMaxRows, rows.size()));
    const bool full =
        full_depth_program_ &&
        std::all_of(some.begin(), some.end(), [](const Row& row) { return row.full_depth; });
    (full ? *full_depth_program_ : *program_).run(some);
    rows = rows.subspan(some.size());
  }
}

void Decoder::row_feed(KvCache& cache, std::span<const uint32_t> ids, const Row& last) {
  std::array<Row, kPromptRows> rows;
  for (size_t i = 0; i < ids.size(); ++i) {
    rows[i] = {&cache, ids[i], 0, nullptr, 0, true};
  }
  rows[ids.size() - 1].logits = last.logits;
  rows[ids.size() - 1].hidden = last.hidden;
  rows[ids.size() - 1].last_state = last.last_state;
  row_step(std::span(rows).first(ids.size()));
}

// One forward pass for each sequence's rows of equal depth.
void Decoder::tensor_step(std::span<Row> rows) {
  const auto alike = [](const Row& a, const Row& b) {
    return !a.input && !b.input && !b.first_state && a.cache == b.cache && a.loops == b.loops &&
           a.full_depth == b.full_depth;
  };
  for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    KvCache& cache = *rows[begin].cache;
    std::vector<uint32_t> ids;
    for (; end == begin || (end < rows.size() && alike(rows[begin], rows[end])); ++end) {
      ids.push_back(rows[end].id);
    }
    ForwardOptions options;
    if (const float* input = rows[begin].input) {
      options.inputs =
          at::from_blob(const_cast<float*>(input), {1, 1, config_.dim}, at::kFloat)
              .to(device(), weights_.compute_type, /*non_blocking=*/false, /*copy=*/true);
    }
    options.state_seed = options_.state_seed;
    options.state_scale = options_.state_scale;
    options.cache = &cache;
    options.experts = options_.experts;
    options.loops = rows[begin].loops > 0 ? rows[begin].loops : cache.loops();
    if (const float* state = rows[begin].first_state) {
      options.initial_state =
          at::from_blob(const_cast<float*>(state), {1, 1, config_.dim}, at::kFloat)
              .to(device(), at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    }
    options.keep_state = std::any_of(rows.begin() + static_cast<int64_t>(begin),
                                     rows.begin() + static_cast<int64_t>(end),
                                     [](const Row& row) { return row.last_state != nullptr; });
    if (!rows[begin].full_depth) options.exit = {options_.exit, options_.threshold()};
    const ForwardResult result = forward(config_, weights_, to_tensor(ids, device()), options);
    const Tensor run = result.loops_run.defined() ? result.loops_run.to(at::kCPU) : Tensor();
    for (size_t i = begin; i < end; ++i) {
      const auto token = static_cast<int64_t>(i - begin);
      rows[i].loops_run = run.defined() ? run[0][token].item<int64_t>() : options.loops;
      if (rows[i].hidden) copy_numbers(result.hidden.select(1, token), rows[i].hidden);
      if (rows[i].last_state) copy_numbers(result.last_state.select(1, token), rows[i].last_state);
      if (!rows[i].logits) continue;
      copy_numbers(result.logits.defined() ? result.logits.select(1, token)
                                           : logits(weights_, result.hidden.select(1, token)),
                   rows[i].logits);
    }
  }
}

void Decoder::prefill(KvCache& cache, std::span<const uint32_t> ids, float* logits, float* hidden,
                      float* last_state) {
  const c10::InferenceMode guard;
  const WithoutCudnnAttention without_plans;
  const auto count = static_cast<int64_t>(ids.size());
  cache.reserve(cache.length() + count);
  ForwardOptions options;
  options.loops = cache.loops();
  options.cache = &cache;
  options.experts = options_.experts;
  options.last_only = true;
  options.state_seed = options_.state_seed;
  options.state_scale = options_.state_scale;
  for (int64_t first = 0; first < count;) {
    const int64_t size = std::min(options_.prefill_chunk, count - first);
    const auto chunk = ids.subspan(static_cast<size_t>(first), static_cast<size_t>(size));
    first += size;
    const bool is_last = first == count;
    if (program_ && size <= kPromptRows) {
      Row last;
      if (is_last) last.logits = logits, last.hidden = hidden, last.last_state = last_state;
      row_feed(cache, chunk, last);
      continue;
    }
    options.keep_state = is_last && last_state;
    const ForwardResult result = forward(config_, weights_, to_tensor(chunk, device()), options);
    const Tensor state = result.hidden.select(1, 0);
    if (options.keep_state) copy_numbers(result.last_state.select(1, size - 1), last_state);
    if (is_last && hidden) copy_numbers(state, hidden);
    if (is_last && logits) copy_numbers(mythos::logits(weights_, state), logits);
  }
}

}  // namespace mythos
