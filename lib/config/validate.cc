#include "base/strings.h"
#include "config/config.h"
#include "config/field_value.h"

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
    return;
  }
  require(c.dim % c.n_heads == 0, "model.n_heads", c.n_heads,
          "must divide model.dim = " + number(c.dim) + " with gqa");
  require(c.n_heads % c.n_kv_heads == 0, "model.n_kv_heads", c.n_kv_heads,
          "must divide model.n_heads = " + number(c.n_heads));
  require(c.head_dim() % 2 == 0, "model.n_heads", c.n_heads,
          "leaves a head of dim/n_heads = " + number(c.head_dim()) +
              " channels; rotary embedding needs an even number");
}

void check_feed_forward(const ModelConfig& c) {
  if (c.ffn == FeedForward::moe) {
    require(c.n_experts_per_tok <= c.n_experts, "model.n_experts_per_tok", c.n_experts_per_tok,
            "at most model.n_experts = " + number(c.n_experts));
  }
  require(c.dense_ffn_dim() >= 1, "model.ffn_dim", c.ffn_dim, "at least 1");
}

void check_recurrence(const ModelConfig& c) {
  require(c.injection != Injection::none || c.initial_state == InitialState::input,
          "model.initial_state", std::string("zero"),
          "with model.injection = \"none\" no input would reach the core; allowed: input");
  if (c.loop_embedding == LoopEmbedding::none) return;
  require(c.loop_embedding_dim <= c.dim, "model.loop_embedding_dim", c.loop_embedding_dim,
          "at most model.dim = " + number(c.dim));
  require(c.loop_channels() >= 1, "model.loop_embedding_dim", c.loop_embedding_dim,
          "means dim/8 = 0 channels; set it to 1 or more, or model.loop_embedding = \"none\"");
}

}  // namespace

void ModelConfig::validate() const {
  check_ranges("model", *this);
  check_attention(*this);
  check_feed_forward(*this);
  check_recurrence(*this);
}

void TrainConfig::validate() const {
  check_ranges("train", *this);
  require(mean_loops == 0 || mean_loops >= 1, "train.mean_loops", mean_loops,
          "0 (the model's max_loop_iters) or at least 1");
  const double tokens = static_cast<double>(batch_size) * static_cast<double>(seq_len) *
                        static_cast<double>(grad_accum);
  require(static_cast<double>(steps) * tokens < 0x1p63, "train.steps", steps,
          strprintf("with %.4g tokens each, which is 2^63 tokens or more in all", tokens));
}

void ObjectivesConfig::validate() const {
  check_ranges("objectives", *this);
}

void DecodeConfig::validate() const {
  check_ranges("decode", *this);
  require(exit != ExitRule::halting || exit_threshold < 0, "decode.exit_threshold", exit_threshold,
          "only with decode.exit = \"latent\" or \"kl\"; the halting head's is "
          "model.act_threshold");
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
  require(objectives.ponder_cost == 0 || model.halting != Halting::none, "objectives.ponder_cost",
          objectives.ponder_cost, "only with model.halting = \"act\" or \"act-reference\"");
}

}  // namespace mythos
