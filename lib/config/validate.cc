#include "base/strings.h"
#include "config/config.h"
#include "config/field_value.h"
#include "config/layer_list.h"
#include "config/loop_distribution.h"
#include "config/objective_terms.h"
#include "config/param_groups.h"
#include "config/run_length.h"

namespace mythos {
namespace {

void require(bool holds, const char* key, const FieldValue& value, const std::string& rule) {
  if (!holds) fail_value("", key, show(value), rule);
}

std::string number(int64_t value) {
  return std::to_string(value);
}

void check_attention(const ModelConfig& c) {
  if (c.attention == Attention::mla) {
    require(c.qk_rope_head_dim % 2 == 0, "model.qk_rope_head_dim", c.qk_rope_head_dim,
            "must be even, as rotary embedding turns pairs of channels");
    require(!c.qk_norm, "model.qk_norm", c.qk_norm,
            "only with model.attention = \"gqa\"; mla normalises its latents already");
    const std::string grouped = "only with model.attention = \"gqa\"";
    require(c.head_width == 0, "model.head_dim", c.head_width, grouped);
    require(c.core_kv_heads == 0, "model.core_kv_heads", c.core_kv_heads, grouped);
    require(c.attention_bias == AttentionBias::none, "model.attention_bias",
            std::string(enum_name(c.attention_bias)), grouped);
    require(c.value_embeddings.empty(), "model.value_embeddings", c.value_embeddings, grouped);
    return;
  }
  require(c.head_width > 0 || c.dim % c.n_heads == 0, "model.n_heads", c.n_heads,
          "must divide model.dim = " + number(c.dim) + " with gqa, unless model.head_dim is set");
  require(c.n_heads % c.n_kv_heads == 0, "model.n_kv_heads", c.n_kv_heads,
          "must divide model.n_heads = " + number(c.n_heads));
  require(c.n_heads % c.core_key_heads() == 0, "model.core_kv_heads", c.core_kv_heads,
          "must divide model.n_heads = " + number(c.n_heads));
  require(c.head_width % 2 == 0, "model.head_dim", c.head_width,
          "must be even, as rotary embedding turns pairs of channels");
  require(c.head_dim() > 0 && c.head_dim() % 2 == 0, "model.n_heads", c.n_heads,
          "leaves a head of dim/n_heads = " + number(c.head_dim()) +
              " channels; rotary embedding needs an even number");
  const int64_t layers = c.prelude_layers + c.core_layers + c.coda_layers;
  for (const int64_t layer : parse_layer_list(c.value_embeddings)) {
    require(layer < layers, "model.value_embeddings", c.value_embeddings,
            "there is no layer " + number(layer) +
                "; prelude, core and coda have the layers 0 to " + number(layers - 1));
  }
}

void check_feed_forward(const ModelConfig& c) {
  if (c.ffn == FeedForward::moe) {
    require(c.n_experts_per_tok <= c.n_experts, "model.n_experts_per_tok", c.n_experts_per_tok,
            "at most model.n_experts = " + number(c.n_experts));
  }
  require(c.dense_ffn_dim() >= 1, "model.ffn_dim", c.ffn_dim, "at least 1");
  require(c.core_ffn_dim == 0 || c.ffn == FeedForward::dense, "model.core_ffn_dim", c.core_ffn_dim,
          "only with model.ffn = \"dense\"; a mixture has model.expert_dim");
}

void check_recurrence(const ModelConfig& c) {
  require(c.injection != Injection::none || c.initial_state == InitialState::input,
          "model.initial_state", std::string(enum_name(c.initial_state)),
          "with model.injection = \"none\" no input would reach the core; allowed: input");
  require(c.injection_norm || c.injection == Injection::linear, "model.injection_norm",
          c.injection_norm, "true unless model.injection = \"linear\"");
  require(c.zoh_gain == ZohGain::exact || c.injection == Injection::zoh, "model.zoh_gain",
          std::string(enum_name(c.zoh_gain)), "only with model.injection = \"zoh\"");
  if (c.loop_embedding == LoopEmbedding::none) return;
  require(c.loop_embedding_dim <= c.dim, "model.loop_embedding_dim", c.loop_embedding_dim,
          "at most model.dim = " + number(c.dim));
  require(c.loop_channels() >= 1, "model.loop_embedding_dim", c.loop_embedding_dim,
          "means dim/8 = 0 channels; set it to 1 or more, or model.loop_embedding = \"none\"");
}

void check_depth(const TrainConfig& c) {
  const bool set = c.loop_sampling == LoopSampling::set;
  const bool any = !parse_loop_set(c.loop_set).empty();
  require(!set || any, "train.loop_set", c.loop_set,
          "with train.loop_sampling = \"set\" the loop counts to draw, such as \"1 2 4 8\"");
  require(set || c.loop_set.empty(), "train.loop_set", c.loop_set,
          "only with train.loop_sampling = \"set\"");
  require(!set || c.mean_loops == 0, "train.mean_loops", c.mean_loops,
          "0 with train.loop_sampling = \"set\", whose counts are in train.loop_set");
  require(!set || c.max_sampled_loops == 0, "train.max_sampled_loops", c.max_sampled_loops,
          "0 with train.loop_sampling = \"set\", whose counts are in train.loop_set");
}

void check_halting(const ModelConfig& c) {
  const bool halts = c.halting != Halting::none;
  require(halts || c.halt_loops == 0, "model.halt_loops", c.halt_loops,
          "only with model.halting other than \"none\"");
  require(halts || c.min_halt_loops == 1, "model.min_halt_loops", c.min_halt_loops,
          "only with model.halting other than \"none\"");
  require(c.min_halt_loops <= c.max_loop_iters, "model.min_halt_loops", c.min_halt_loops,
          "at most model.max_loop_iters = " + number(c.max_loop_iters));
  const bool between = c.halt_loops > static_cast<double>(c.min_halt_loops) &&
                       c.halt_loops < static_cast<double>(c.max_loop_iters);
  require(c.halt_loops == 0 || between, "model.halt_loops", c.halt_loops,
          "0, or above model.min_halt_loops = " + number(c.min_halt_loops) +
              " and below model.max_loop_iters = " + number(c.max_loop_iters));
}

// The terms of the objective that this model or this way of training cannot give.
void check_objectives(const ObjectivesConfig& o, const ModelConfig& model,
                      const TrainConfig& train) {
  const auto only_with = [](bool holds, double weight, const char* key, const std::string& what) {
    require(weight == 0 || holds, key, weight, "only with " + what);
  };
  const bool gate = model.halting == Halting::gate, moe = model.ffn == FeedForward::moe;
  only_with(model.halting != Halting::none, o.ponder_cost, "objectives.ponder_cost",
            "model.halting = \"act\", \"act-reference\" or \"gate\"");
  only_with(gate, o.gate, "objectives.gate", "model.halting = \"gate\"");
  only_with(gate, o.gate_gain, "objectives.gate_gain", "model.halting = \"gate\"");
  only_with(gate, o.ponder, "objectives.ponder", "model.halting = \"gate\"");
  const std::string experts = "model.ffn = \"moe\"";
  only_with(moe, o.balance, "objectives.balance", experts);
  only_with(moe, o.router_z, "objectives.router_z", experts);
  const bool keeps = train.recompute == Recompute::none;
  const std::string kept = "train.recompute = \"none\", which keeps the router's scores";
  only_with(keeps, o.balance, "objectives.balance", kept);
  only_with(keeps, o.router_z, "objectives.router_z", kept);
}

void check_guards(const TrainConfig& c) {
  require(c.skip_deviations == 0 || c.skip_steps > 0, "train.skip_deviations", c.skip_deviations,
          "0 unless train.skip_steps says how many steps in a row may be skipped");
  require(c.rollbacks == 0 || c.skip_steps > 0, "train.rollbacks", c.rollbacks,
          "0 unless train.skip_steps says after how many skipped steps a run goes back");
  require(c.rollback_lr_factor > 0, "train.rollback_lr_factor", c.rollback_lr_factor, "above 0");
}

// What ranks that hold different experts cannot do: they exchange rows in every loop of every pass,
// so that all of them run equally many.
void check_expert_ranks(const TrainConfig& c, const ModelConfig& model) {
  if (c.expert_ranks == 1) return;
  const auto only_with = [&](bool holds, const std::string& rule) {
    require(holds, "train.expert_ranks", c.expert_ranks, rule);
  };
  only_with(model.ffn == FeedForward::moe, "1 unless model.ffn = \"moe\": there are no experts");
  only_with(model.n_experts % c.expert_ranks == 0,
            "must divide model.n_experts = " + number(model.n_experts));
  only_with(c.loops_per == LoopsPer::step,
            "1 with train.loops_per = \"sequence\", whose passes differ from rank to rank");
  only_with(model.latent_token < 0,
            "1 with model.latent_token, whose passes differ from rank to rank");
}

void check_optimizer(const TrainConfig& c) {
  parse_param_groups(c.param_groups);
  if (!c.length.empty()) parse_run_length(c.length);
  require(c.ema_decay == 0 || c.tune_rank == 0, "train.ema_decay", c.ema_decay,
          "0 with train.tune_rank, whose factors are not averaged");
}

}  // namespace

void ModelConfig::validate() const {
  check_ranges("model", *this);
  check_attention(*this);
  check_feed_forward(*this);
  check_recurrence(*this);
  check_halting(*this);
  require(residual_init == ResidualInit::normal || norm_placement == NormPlacement::pre,
          "model.residual_init", std::string(enum_name(residual_init)),
          "\"normal\" with model.norm_placement = \"" + std::string(enum_name(norm_placement)) +
              "\", whose norms behind the sublayers undo any other");
  require(embedding_scale > 0, "model.embedding_scale", embedding_scale, "above 0");
  require(latent_token < vocab_size, "model.latent_token", latent_token,
          "an id below model.vocab_size = " + number(vocab_size) + ", or -1");
}

void TrainConfig::validate() const {
  check_ranges("train", *this);
  require(mean_loops == 0 || mean_loops >= 1, "train.mean_loops", mean_loops,
          "0 (the model's max_loop_iters) or at least 1");
  check_depth(*this);
  const double tokens = static_cast<double>(batch_size) * static_cast<double>(seq_len) *
                        static_cast<double>(grad_accum);
  check_optimizer(*this);
  check_guards(*this);
  require(static_cast<double>(steps) * tokens < 0x1p63, "train.steps", steps,
          strprintf("with %.4g tokens each, which is 2^63 tokens or more in all", tokens));
}

void ObjectivesConfig::validate() const {
  check_ranges("objectives", *this);
  double sum = 0;
  for (const ObjectiveTerm& term : all_objective_terms()) sum += this->*term.weight;
  require(sum > 0, "objectives.next_token", next_token,
          "as all other weights of [objectives] are 0 too, there is nothing to minimise; give at "
          "least one a weight above 0");
}

void DecodeConfig::validate() const {
  check_ranges("decode", *this);
  require((exit != ExitRule::halting && exit != ExitRule::gate) || exit_threshold < 0,
          "decode.exit_threshold", exit_threshold,
          "not with decode.exit = \"halting\", whose threshold is model.act_threshold, nor with "
          "\"gate\", whose threshold is decode.exit_quantile");
  require(cache.sharing != CacheSharing::low_rank || !cache.basis.empty(), "decode.cache_sharing",
          std::string(enum_name(cache.sharing)),
          "only with decode.cache_basis, a file that mythos fit-cache writes");
  require(!warm_start || latent_steps == 0, "decode.warm_start", warm_start,
          "not with decode.latent_steps, whose passes have no token before them");
}

void Config::validate() const {
  model.validate();
  train.validate();
  objectives.validate();
  decode.validate();
  require(train.seq_len <= model.max_seq_len, "train.seq_len", train.seq_len,
          "at most model.max_seq_len = " + number(model.max_seq_len));
  const double mean =
      train.mean_loops > 0 ? train.mean_loops : static_cast<double>(model.max_loop_iters);
  require(train.max_sampled_loops == 0 || static_cast<double>(train.max_sampled_loops) >= mean,
          "train.max_sampled_loops", train.max_sampled_loops,
          strprintf("0 (twice the mean) or at least the mean loop count, %g", mean));
  require(train.backprop_loops <= 0 || model.halting == Halting::none, "train.backprop_loops",
          train.backprop_loops,
          "0 (all) with model.halting = \"" + std::string(enum_name(model.halting)) +
              "\", whose probabilities need the gradients of every loop");
  require(
      train.backprop_loops <= 0 || model.injection != Injection::none, "train.backprop_loops",
      train.backprop_loops,
      "0 (all) with model.injection = \"none\", where no gradient would reach the input through "
      "the last loops");
  check_objectives(objectives, model, train);
  check_expert_ranks(train, model);
}

}  // namespace mythos
