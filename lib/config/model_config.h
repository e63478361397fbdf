#pragma once
#include <cstdint>
#include <string>

#include "config/field.h"

namespace mythos {

enum class Attention { gqa, mla };
enum class FeedForward { dense, moe };
enum class Injection { lti, zoh, linear, gated, add, none };
enum class NormPlacement {
  pre,       // x += sublayer(norm x)
  sandwich,  // x += norm(sublayer(norm x))
};
enum class Halting { none, act, act_reference, gate };
enum class LoopEmbedding { none, sinusoid };
enum class InitialState { input, zero, random };
enum class MatrixInit { normal, orthogonal };
enum class ResidualInit { normal, zero, scaled };

template <>
struct EnumNames<Attention> {
  static constexpr std::array<std::string_view, 2> names = {"gqa", "mla"};
};
template <>
struct EnumNames<FeedForward> {
  static constexpr std::array<std::string_view, 2> names = {"dense", "moe"};
};
template <>
struct EnumNames<Injection> {
  static constexpr std::array<std::string_view, 6> names = {"lti",   "zoh", "linear",
                                                            "gated", "add", "none"};
};
template <>
struct EnumNames<NormPlacement> {
  static constexpr std::array<std::string_view, 2> names = {"pre", "sandwich"};
};
template <>
struct EnumNames<Halting> {
  static constexpr std::array<std::string_view, 4> names = {"none", "act", "act-reference", "gate"};
};
template <>
struct EnumNames<LoopEmbedding> {
  static constexpr std::array<std::string_view, 2> names = {"none", "sinusoid"};
};
template <>
struct EnumNames<InitialState> {
  static constexpr std::array<std::string_view, 3> names = {"input", "zero", "random"};
};
template <>
struct EnumNames<MatrixInit> {
  static constexpr std::array<std::string_view, 2> names = {"normal", "orthogonal"};
};
template <>
struct EnumNames<ResidualInit> {
  static constexpr std::array<std::string_view, 3> names = {"normal", "zero", "scaled"};
};

// The shape and the mechanisms of a recurrent-depth transformer: prelude layers, a recurrent core
// that is applied T times with the encoded input e injected into every loop, coda layers. A model
// family is a setting of these fields. The defaults are the recommended mechanisms at the size of
// the preset `nano`.
struct ModelConfig {
  int64_t vocab_size = 4096;   // V
  int64_t dim = 256;           // D
  int64_t max_seq_len = 1024;  // longest context, tokens
  int64_t max_output_tokens =
      4096;  // generate stops after as many when no other limit is asked for
  int64_t prelude_layers = 1;
  int64_t core_layers = 1;  // layers of the block that is repeated
  int64_t coda_layers = 1;
  int64_t max_loop_iters = 8;  // T, if no other loop count is asked for

  Attention attention = Attention::mla;
  int64_t n_heads = 4;            // H
  int64_t n_kv_heads = 2;         // K, gqa only
  int64_t kv_lora_rank = 64;      // mla: width of the cached latent
  int64_t q_lora_rank = 128;      // mla: width of the query latent
  int64_t qk_rope_head_dim = 16;  // mla
  int64_t qk_nope_head_dim = 32;  // mla
  int64_t v_head_dim = 32;        // mla
  double rope_theta = 500000;
  bool qk_norm = false;  // gqa: RMSNorm of each query and key head

  NormPlacement norm_placement = NormPlacement::pre;
  FeedForward ffn = FeedForward::moe;  // of the core; prelude and coda are dense SwiGLU
  int64_t ffn_dim = 0;                 // dense width; 0 means floor(4·dim/3)
  int64_t n_experts = 8;               // E, routed
  int64_t n_shared_experts = 1;        // each of width expert_dim·n_experts_per_tok
  int64_t n_experts_per_tok = 2;       // k
  int64_t expert_dim = 256;            // F, width of one routed expert

  Injection injection = Injection::lti;
  InitialState initial_state = InitialState::input;
  double state_std = 1;      // random: standard deviation of the initial state (Huginn)
  bool prelude_norm = true;  // RMSNorm of e before it is injected
  LoopEmbedding loop_embedding = LoopEmbedding::sinusoid;
  int64_t loop_embedding_dim = 0;  // channels it is added to; 0 means dim/8
  int64_t lora_rank = 8;           // depth-wise LoRA of the core's output; 0 turns it off
  Halting halting = Halting::none;
  double act_threshold = 0.99;
  double halt_loops = 0;       // mean loops at which halting begins; 0: the bias is drawn around 0
  int64_t min_halt_loops = 1;  // no position halts before

  // The id whose input is the last hidden state of the position before it instead of an embedding
  // (COCONUT, Hao et al. 2024); -1: none.
  int64_t latent_token = -1;

  bool tied_head = true;  // the output head is the embedding
  double norm_eps = 1e-6;
  double init_std = 0.02;
  MatrixInit matrix_init = MatrixInit::normal;
  // The matrices that write into the residual stream: as the others, 0, or 1/(loops·sqrt(layers))
  // of the others, so that sums over loops keep their size (arXiv 2606.18524).
  ResidualInit residual_init = ResidualInit::normal;

  int64_t head_dim() const { return dim / n_heads; }  // gqa
  int64_t qk_head_dim() const {
    return attention == Attention::mla ? qk_nope_head_dim + qk_rope_head_dim : head_dim();
  }
  int64_t value_head_dim() const { return attention == Attention::mla ? v_head_dim : head_dim(); }
  int64_t rope_dim() const { return attention == Attention::mla ? qk_rope_head_dim : head_dim(); }
  int64_t dense_ffn_dim() const { return ffn_dim ? ffn_dim : 4 * dim / 3; }
  int64_t shared_ffn_dim() const { return n_shared_experts * expert_dim * n_experts_per_tok; }
  int64_t loop_channels() const { return loop_embedding_dim ? loop_embedding_dim : dim / 8; }

  // Calls f(const Field&, T& value) for every key, in the order of files and help. `self` may be
  // const.
  template <class Self, class F>
  static void visit(Self& self, F&& f);

  // Fails (usage), naming the key, its value and what is allowed.
  void validate() const;

  bool operator==(const ModelConfig&) const = default;
};

template <class Self, class F>
void ModelConfig::visit(Self& self, F&& f) {
  constexpr double kMax = 1LL << 40;
  f(Field{"vocab_size", "number of token ids", 2, 1 << 24}, self.vocab_size);
  f(Field{"dim", "model width", 2, 1 << 20}, self.dim);
  f(Field{"max_seq_len", "longest context in tokens", 1, kMax}, self.max_seq_len);
  f(Field{"max_output_tokens", "tokens generated when no other limit is asked for", 1, kMax},
    self.max_output_tokens);
  f(Field{"prelude_layers", "layers before the recurrent core", 0, 4096}, self.prelude_layers);
  f(Field{"core_layers", "layers of the recurrent core", 1, 4096}, self.core_layers);
  f(Field{"coda_layers", "layers after the recurrent core", 0, 4096}, self.coda_layers);
  f(Field{"max_loop_iters", "loops of the core when none are asked for", 1, 1 << 20},
    self.max_loop_iters);
  f(Field{"attention", "kind of attention"}, self.attention);
  f(Field{"n_heads", "query heads", 1, 1 << 16}, self.n_heads);
  f(Field{"n_kv_heads", "key/value heads (gqa)", 1, 1 << 16}, self.n_kv_heads);
  f(Field{"kv_lora_rank", "width of the cached key/value latent (mla)", 1, 1 << 20},
    self.kv_lora_rank);
  f(Field{"q_lora_rank", "width of the query latent (mla)", 1, 1 << 20}, self.q_lora_rank);
  f(Field{"qk_rope_head_dim", "width of the rotated part of a query/key head (mla)", 2, 1 << 16},
    self.qk_rope_head_dim);
  f(Field{"qk_nope_head_dim", "width of its unrotated part (mla)", 1, 1 << 16},
    self.qk_nope_head_dim);
  f(Field{"v_head_dim", "width of a value head (mla)", 1, 1 << 16}, self.v_head_dim);
  f(Field{"rope_theta", "base of the rotary frequencies", 1, 1e12}, self.rope_theta);
  f(Field{"qk_norm", "normalise query and key heads (gqa)"}, self.qk_norm);
  f(Field{"norm_placement", "norms before sublayers, or before and behind them"},
    self.norm_placement);
  f(Field{"ffn", "feed-forward of the core"}, self.ffn);
  f(Field{"ffn_dim", "dense feed-forward width; 0 means 4/3 of dim", 0, 1 << 24}, self.ffn_dim);
  f(Field{"n_experts", "routed experts", 1, 1 << 20}, self.n_experts);
  f(Field{"n_shared_experts", "experts that every token uses", 0, 1 << 16}, self.n_shared_experts);
  f(Field{"n_experts_per_tok", "routed experts that a token uses", 1, 1 << 16},
    self.n_experts_per_tok);
  f(Field{"expert_dim", "width of one routed expert", 1, 1 << 24}, self.expert_dim);
  f(Field{"injection", "how the input enters each loop"}, self.injection);
  f(Field{"initial_state", "state before the first loop"}, self.initial_state);
  f(Field{"state_std", "random: standard deviation of the first state", 0, 1e6}, self.state_std);
  f(Field{"prelude_norm", "normalise the injected input"}, self.prelude_norm);
  f(Field{"loop_embedding", "mark of the loop index on the state"}, self.loop_embedding);
  f(Field{"loop_embedding_dim", "channels that carry it; 0 means dim/8", 0, 1 << 20},
    self.loop_embedding_dim);
  f(Field{"lora_rank", "rank of the depth-wise LoRA; 0 turns it off", 0, 1 << 16}, self.lora_rank);
  f(Field{"halting", "how positions halt: adaptive computation time, or a gate of exits"},
    self.halting);
  f(Field{"act_threshold", "cumulative halting probability that ends a position", 0, 1},
    self.act_threshold);
  f(Field{"halt_loops", "mean loops at which halting begins; 0: drawn around even odds", 0,
          1 << 20},
    self.halt_loops);
  f(Field{"min_halt_loops", "loops before which no position halts", 1, 1 << 20},
    self.min_halt_loops);
  f(Field{"latent_token", "id that stands for a latent thought; -1: none", -1, 1 << 24},
    self.latent_token);
  f(Field{"tied_head", "output head shares the embedding"}, self.tied_head);
  f(Field{"norm_eps", "epsilon of RMSNorm", 0, 1}, self.norm_eps);
  f(Field{"init_std", "standard deviation of initial weights", 0, 10}, self.init_std);
  f(Field{"matrix_init", "distribution of initial matrices"}, self.matrix_init);
  f(Field{"residual_init", "matrices that write into the residual stream"}, self.residual_init);
}

}  // namespace mythos
