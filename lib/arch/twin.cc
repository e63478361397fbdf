#include "arch/twin.h"

#include <cmath>

#include "arch/plan.h"
#include "base/error.h"
#include "base/strings.h"
#include "base/whole.h"

namespace mythos {
namespace {

constexpr int64_t kMostLayers = 4096, kMostWidth = 1 << 24;  // of model.core_layers and ffn_dim
constexpr double kTolerance = 0.005;

// The looped configuration without its loops, one layer deep.
Config without_loops(const Config& looped) {
  Config plain = looped;
  ModelConfig& model = plain.model;
  const ModelConfig fresh;
  model.prelude_layers = model.coda_layers = 0;
  model.core_layers = model.max_loop_iters = 1;
  model.ffn = FeedForward::dense;
  model.core_ffn_dim = fresh.core_ffn_dim;
  model.value_embeddings = fresh.value_embeddings;
  model.injection = Injection::none;
  model.injection_norm = fresh.injection_norm;
  model.zoh_gain = fresh.zoh_gain;
  model.readout = fresh.readout;
  model.final_norm = fresh.final_norm;
  model.initial_state = InitialState::input;
  model.prelude_norm = true;  // as in gpt-nano: the embedding alone is too small beside a layer
  model.loop_embedding = LoopEmbedding::none;
  model.loop_embedding_dim = 0;
  model.lora_rank = 0;
  model.halting = Halting::none;
  model.halt_loops = fresh.halt_loops;
  model.min_halt_loops = fresh.min_halt_loops;

  TrainConfig& train = plain.train;
  const TrainConfig untouched;
  train.loop_sampling = LoopSampling::fixed;
  train.mean_loops = untouched.mean_loops;
  train.max_sampled_loops = untouched.max_sampled_loops;
  train.loop_set = untouched.loop_set;
  train.loops_per = untouched.loops_per;
  train.backprop_loops = untouched.backprop_loops;
  train.loop_curriculum = untouched.loop_curriculum;
  plain.objectives = {};
  plain.decode = {};
  plain.decode.compute_type = looped.decode.compute_type;
  return plain;
}

int64_t cost(const ModelConfig& model, MatchBy by, int64_t loops, int64_t context_tokens) {
  const Plan plan = make_plan(model, loops, context_tokens);
  if (by == MatchBy::parameters) return plan.parameters;
  return (Whole(plan.matrix_macs_per_token) + plan.attention_macs_per_token).value();
}

// What a plain model of L layers and feed-forward width F costs: base + L·(layer + F·width).
struct PlainCost {
  double base, layer, width;

  // The width at which L layers cost `wanted`; not above 0 where they are too many.
  double width_for(double wanted, int64_t layers) const {
    const auto count = static_cast<double>(layers);
    return (wanted - base - count * layer) / (count * width);
  }
};

PlainCost plain_cost(ModelConfig model, MatchBy by, int64_t context_tokens) {
  const auto measure = [&](int64_t layers, int64_t width) {
    model.core_layers = layers;
    model.ffn_dim = width;
    return static_cast<double>(cost(model, by, 1, context_tokens));
  };
  const double one = measure(1, 1);
  PlainCost out{};
  out.width = measure(1, 2) - one;
  const double with_width = measure(2, 1) - one;
  out.layer = with_width - out.width;
  out.base = one - with_width;
  return out;
}

struct Shape {
  int64_t layers = 0, width = 0;
};

Shape best_shape(const PlainCost& costs, double wanted, double preferred_width) {
  Shape best;
  double least = HUGE_VAL;
  for (int64_t layers = 1; layers <= kMostLayers; ++layers) {
    const double width = std::round(costs.width_for(wanted, layers));
    if (width < 1) break;
    const double distance = std::abs(std::log(width / preferred_width));
    if (width > kMostWidth || distance >= least) continue;
    least = distance;
    best = {layers, static_cast<int64_t>(width)};
  }
  if (best.layers == 0) return best;
  const int64_t even = (best.width + 4) / 8 * 8;
  const double error =
      std::abs(static_cast<double>((even - best.width) * best.layers) * costs.width);
  if (even > 0 && error <= kTolerance * wanted) best.width = even;
  return best;
}

}  // namespace

double Twin::deviation() const {
  return static_cast<double>(reached - wanted) / static_cast<double>(wanted);
}

Twin plain_twin(const Config& looped, MatchBy by, int64_t loops, int64_t context_tokens) {
  Twin twin{without_loops(looped), by};
  ModelConfig& model = twin.config.model;
  twin.wanted = cost(looped.model, by, loops, context_tokens);
  const PlainCost costs = plain_cost(model, by, context_tokens);
  const Shape shape = best_shape(costs, static_cast<double>(twin.wanted),
                                 static_cast<double>(looped.model.dense_ffn_dim()));
  if (shape.layers == 0) {
    fail(
        ErrorKind::usage,
        strprintf("no plain twin: none of up to %d layers comes near the %s %s of the looped model",
                  kMostLayers, with_commas(twin.wanted),
                  by == MatchBy::parameters ? "parameters" : "multiply-accumulates"),
        "Fewer --loops, or a larger model.dim, leave less to match.");
  }
  model.core_layers = shape.layers;
  model.ffn_dim = shape.width;
  twin.config.validate();
  twin.reached = cost(model, by, 1, context_tokens);
  return twin;
}

}  // namespace mythos
