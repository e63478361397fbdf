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
  residual,  // x = norm(x + sublayer(norm x)) (Huginn, Geiping et al. 2025)
};
enum class RopePairing {
  adjacent,  // channels 2i and 2i+1 of a head turn together
  halves,    // channels i and i + width/2
};
enum class AttentionBias { none, qk, qkv };
enum class Activation {
  swiglu,  // down(silu(gate x) ⊙ up x) (Shazeer 2020)
  relu2,   // down(½ relu(up x)²) (Parcae)
};
enum class FinalNorm {
  output,  // of what leaves the coda
  loop,    // of the state at the end of every loop, and nowhere else (Ouro)
  twice,   // of the last state before the coda, and of what leaves the coda (Huginn)
};
enum class ZohGain { exact, euler };
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
  static constexpr std::array<std::string_view, 3> names = {"pre", "sandwich", "residual"};
};
template <>
struct EnumNames<RopePairing> {
  static constexpr std::array<std::string_view, 2> names = {"adjacent", "halves"};
};
template <>
struct EnumNames<AttentionBias> {
  static constexpr std::array<std::string_view, 3> names = {"none", "qk", "qkv"};
};
template <>
struct EnumNames<Activation> {
  static constexpr std::array<std::string_view, 2> names = {"swiglu", "relu2"};
};
template <>
struct EnumNames<FinalNorm> {
  static constexpr std::array<std::string_view, 3> names = {"output", "loop", "twice"};
};
template <>
struct EnumNames<ZohGain> {
  static constexpr std::array<std::string_view, 2> names = {"exact", "euler"};
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
  int64_t head_width = 0;         // gqa, key head_dim: width of a head; 0 means dim/n_heads
  int64_t core_kv_heads = 0;      // gqa: K of the core; 0 means n_kv_heads
  double rope_theta = 500000;
  RopePairing rope_pairing = RopePairing::adjacent;
  AttentionBias attention_bias = AttentionBias::none;  // gqa: added before the rotation
  bool qk_norm = false;                                // gqa: RMSNorm of each query and key head
  bool qk_norm_weight = true;                          // with a weight for each channel
  double qk_norm_eps = 0;                              // 0 means norm_eps
  // gqa: numbers of the layers, counted over prelude, core and coda, whose values have a table of
  // token embeddings added through a gate (Parcae), such as "1,3,5"; empty: none.
  std::string value_embeddings;

  NormPlacement norm_placement = NormPlacement::pre;
  FeedForward ffn = FeedForward::moe;          // of the core; prelude and coda are dense SwiGLU
  int64_t ffn_dim = 0;                         // dense width; 0 means floor(4·dim/3)
  int64_t core_ffn_dim = 0;                    // dense width of the core; 0 means as ffn_dim
  Activation activation = Activation::swiglu;  // of dense layers
  int64_t n_experts = 8;                       // E, routed
  int64_t n_shared_experts = 1;                // each of width expert_dim·n_experts_per_tok
  int64_t n_experts_per_tok = 2;               // k
  int64_t expert_dim = 256;                    // F, width of one routed expert

  Injection injection = Injection::lti;
  bool injection_norm = true;  // linear: RMSNorm of each new state
  ZohGain zoh_gain = ZohGain::exact;
  bool readout = false;  // a matrix [D,D] on the last state before the coda (Parcae's C)
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
  FinalNorm final_norm = FinalNorm::output;
  double embedding_scale = 1;  // factor of embeddings that enter the first layer
  double logit_softcap = 0;    // s·tanh(logits/s); 0: none
  double norm_eps = 1e-6;
  double init_std = 0.02;
  double embedding_std = 0;  // initial weights of the embedding; 0 means init_std
  MatrixInit matrix_init = MatrixInit::normal;
  // The matrices that write into the residual stream: as the others, 0, or 1/(loops·sqrt(layers))
  // of the others, so that sums over loops keep their size (arXiv 2606.18524).
  ResidualInit residual_init = ResidualInit::normal;

  int64_t head_dim() const { return head_width ? head_width : dim / n_heads; }  // gqa
  int64_t qk_head_dim() const {
    return attention == Attention::mla ? qk_nope_head_dim + qk_rope_head_dim : head_dim();
  }
  int64_t value_head_dim() const { return attention == Attention::mla ? v_head_dim : head_dim(); }
  int64_t rope_dim() const { return attention == Attention::mla ? qk_rope_head_dim : head_dim(); }
  int64_t dense_ffn_dim() const { return ffn_dim ? ffn_dim : 4 * dim / 3; }
  int64_t core_dense_ffn_dim() const { return core_ffn_dim ? core_ffn_dim : dense_ffn_dim(); }
  int64_t core_key_heads() const { return core_kv_heads ? core_kv_heads : n_kv_heads; }  // gqa
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
  f(Field{"head_dim", "width of a head (gqa); 0 means dim/n_heads", 0, 1 << 16}, self.head_width);
  f(Field{"core_kv_heads", "key/value heads of the core (gqa); 0 means n_kv_heads", 0, 1 << 16},
    self.core_kv_heads);
  f(Field{"rope_theta", "base of the rotary frequencies", 1, 1e12}, self.rope_theta);
  f(Field{"rope_pairing", "channels that the rotation turns together"}, self.rope_pairing);
  f(Field{"attention_bias", "biases of queries, keys and values (gqa)"}, self.attention_bias);
  f(Field{"qk_norm", "normalise query and key heads (gqa)"}, self.qk_norm);
  f(Field{"qk_norm_weight", "with a weight for each channel"}, self.qk_norm_weight);
  f(Field{"qk_norm_eps", "its epsilon; 0 means norm_eps", 0, 1}, self.qk_norm_eps);
  f(Field{"value_embeddings", "layers with gated embeddings of values (gqa), such as \"1,3\""},
    self.value_embeddings);
  f(Field{"norm_placement", "norms before sublayers, also behind them, or of the residual sum"},
    self.norm_placement);
  f(Field{"ffn", "feed-forward of the core"}, self.ffn);
  f(Field{"ffn_dim", "dense feed-forward width; 0 means 4/3 of dim", 0, 1 << 24}, self.ffn_dim);
  f(Field{"core_ffn_dim", "dense width of the core; 0 means as ffn_dim", 0, 1 << 24},
    self.core_ffn_dim);
  f(Field{"activation", "activation of dense layers"}, self.activation);
  f(Field{"n_experts", "routed experts", 1, 1 << 20}, self.n_experts);
  f(Field{"n_shared_experts", "experts that every token uses", 0, 1 << 16}, self.n_shared_experts);
  f(Field{"n_experts_per_tok", "routed experts that a token uses", 1, 1 << 16},
    self.n_experts_per_tok);
  f(Field{"expert_dim", "width of one routed expert", 1, 1 << 24}, self.expert_dim);
  f(Field{"injection", "how the input enters each loop"}, self.injection);
  f(Field{"injection_norm", "normalise each new state (linear)"}, self.injection_norm);
  f(Field{"zoh_gain", "gain of the input (zoh)"}, self.zoh_gain);
  f(Field{"readout", "a matrix on the last state before the coda"}, self.readout);
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
  f(Field{"final_norm", "what the final norm normalises"}, self.final_norm);
  f(Field{"embedding_scale", "factor of embeddings", 0, 1e6}, self.embedding_scale);
  f(Field{"logit_softcap", "bound of logits, by tanh; 0: none", 0, 1e6}, self.logit_softcap);
  f(Field{"norm_eps", "epsilon of RMSNorm", 0, 1}, self.norm_eps);
  f(Field{"init_std", "standard deviation of initial weights", 0, 10}, self.init_std);
  f(Field{"embedding_std", "deviation of initial embeddings; 0 means init_std", 0, 10},
    self.embedding_std);
  f(Field{"matrix_init", "distribution of initial matrices"}, self.matrix_init);
  f(Field{"residual_init", "matrices that write into the residual stream"}, self.residual_init);
}

}  // namespace mythos
