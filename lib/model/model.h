#pragma once
#include <functional>
#include <utility>
#include <vector>

#include "config/train_config.h"
#include "model/expert_exchange.h"
#include "model/kv_cache.h"
#include "model/weights.h"

// The forward pass on LibTorch tensors, and what stands behind it: losses and logits. The text of
// the pass is in transformer.cc. Shapes: B batch, S sequence, D width, V vocabulary, T loops, E
// experts.
namespace mythos {

// Called after each loop t with the state before and after it, [B,S,D] fp32, without gradient.
using LoopObserver = std::function<void(int64_t t, const Tensor& before, const Tensor& after)>;

// Told when a pass reads the weights of a block (arch/shard_layout.h): a layer of prelude or coda,
// or the core, named by its first layer. What lies in none of these is read at any time. A block
// may begin again after its end, and its backward pass too.
class BlockWatch {
 public:
  virtual ~BlockWatch() = default;
  virtual void begin_forward(const LayerId& block) = 0;
  virtual void end_forward(const LayerId& block) = 0;
  virtual void begin_backward(const LayerId& block) = 0;  // on the thread of the backward pass
};

// What training objectives ask of a pass beside its output; nothing is computed for what is off.
struct CollectOptions {
  bool outputs = false;    // ForwardResult::loop_hidden
  bool gate = false;       // gate_logits and gate_logits_alone (halting = gate)
  bool last_loop = false;  // last_before and last_after
  bool jacobian = false;   // jacobian
  bool routes = false;     // routes; not with recomputation, whose pieces have no graph
  // Whether every loop must run, though all positions have halted.
  bool all_loops() const { return outputs || last_loop || jacobian; }
};

// The router's scores of a core layer in one loop.
struct Routes {
  Tensor scores;   // [B·S,E] fp32
  Tensor experts;  // [B·S,k] int64
  Tensor counted;  // [B,S] bool: the positions of ForwardOptions::counted that ran; undefined: all
};

struct ForwardOptions {
  int64_t loops = 0;  // T; 0 means the configuration's max_loop_iters
  // Tokens before these; the new ones are appended and advanced over. Made for T loops, or for
  // more: then those beyond T have no keys of the new tokens, which must be forgotten before a pass
  // of more loops.
  KvCache* cache = nullptr;
  // [B,S] int32: the position at which each token's document begins; it sees nothing before that.
  // Undefined: all tokens of a sequence are one document. Not with a cache.
  Tensor document_begins;
  LoopObserver observer;
  bool count_experts = false;  // fill expert_load
  // Fill expert_repeats; without recomputation, and not where stopped positions are skipped.
  bool count_repeats = false;
  // [B,S] bool: the positions that expert_load counts, such as those with a target. Undefined: all.
  Tensor counted;
  // The hidden state of the last position alone, [B,1,D]; of the others only what it needs.
  bool last_only = false;
  // When positions stop before their last loop; without gradient.
  Exit exit;
  bool keep_state = false;  // fill ForwardResult::last_state
  // [B,S,D] in the compute type: what enters the first layer instead of the ids' embeddings.
  // Undefined: those, with latent thoughts at the positions of the configuration's latent_token.
  Tensor inputs;
  // Where positions stop (halting = act, or an exit) and no gradient is recorded, those that have
  // stopped are not computed; otherwise they are computed and their states and keys put back.
  bool skip_halted = true;
  // With gradients: keep only the input of each loop (loop) or of each layer (block), and compute
  // the rest again in the backward pass.
  Recompute recompute = Recompute::none;
  // With gradients: the last loops that record them; those before run without, so that neither the
  // state nor the core's weights have a gradient through them. 0: all loops. Not where the model
  // halts, whose probabilities need every loop.
  int64_t grad_loops = 0;
  // [B,S,D] fp32: the state before the first loop. Undefined: as model.initial_state says.
  Tensor initial_state;
  // [B] int32 on the weights' device: what each sequence's random first state is drawn from
  // (initial_state.h). Undefined: state_seed for all, as for decoding.
  Tensor state_seeds;
  int64_t state_seed = 0;
  double state_scale = 1;  // factor of random first states; 0: zero states
  CollectOptions collect;  // with gradients, without cache and exit
  BlockWatch* blocks = nullptr;
  // Where other processes hold routed experts too. Null: the weights have all of them.
  ExpertExchange* experts = nullptr;
};

struct ForwardResult {
  Tensor hidden;  // [B,S or 1,D] after the final norm, in the compute type
  // [B,S,V] fp32 instead of hidden where positions exit by a rule that compares outputs.
  Tensor logits;
  // [B,S,D] fp32: the state after each position's last loop, from which the next token may start
  // (final_norm = twice: normalised).
  Tensor last_state;
  Tensor halt_weights;  // [B,S,T] fp32 share of each loop's state; undefined if no halting
  // [B,S] int64 loops until each position stopped; defined with halting = act or an exit.
  Tensor loops_run;
  // [B,S] fp32 loops run + remainder of each position (Graves 2016, eq. 12), the differentiable
  // cost of halting; undefined if no halting.
  Tensor ponder;
  // Per core layer: [E] tokens of ForwardOptions::counted that were routed while they ran, summed
  // over loops.
  std::vector<Tensor> expert_load;
  // Per core layer: [T-1] fp32, how many of the experts that a position chose in a loop it had also
  // chosen in the loop before, summed over those that expert_load counts. The first place is of the
  // second loop.
  std::vector<Tensor> expert_repeats;
  // What ForwardOptions::collect asks for. For each loop: what its state gives behind coda and
  // final norm, [B,S,D] in the compute type.
  std::vector<Tensor> loop_hidden;
  // The gate's logit w·h_t + b after each loop, [B,S,T] fp32, and that of the state without its
  // gradient, through which the gate alone is trained.
  Tensor gate_logits, gate_logits_alone;
  Tensor last_before, last_after;  // [B,S,D] fp32, the states around the last loop
  // [B,S] fp32: ‖Jv‖² / ‖v‖² of each position, J the Jacobian of the last loop's map at its first
  // state and v random, drawn from state_seeds.
  Tensor jacobian;
  std::vector<Routes> routes;  // those of all core layers and loops that ran
};

// ids [B,S] int64 on the weights' device. Where ids hold the configuration's latent_token, N times
// at most in a document, N passes come before the one whose result this is (latent.h); a cache then
// belongs with `inputs`. Fails (data) where a sequence or a document begins with a latent thought.
ForwardResult forward(const ModelConfig& config, const Weights& weights, const Tensor& ids,
                      const ForwardOptions& options = {});

// [...,D] → logits [...,V] fp32.
Tensor logits(const Weights& weights, const Tensor& hidden);

// Cross-entropy in nats of each position, [B,S] fp32; 0 where the target is -1; without gradient.
// hidden [B,S,D], targets [B,S] int64. Logits are formed for a block of positions at a time.
Tensor token_losses(const Weights& weights, const Tensor& hidden, const Tensor& targets);

// The sum of token_losses() times scale (and device_scale [] fp32, where defined), [] fp32: what
// training differentiates.
Tensor loss_sum(const Weights& weights, const Tensor& hidden, const Tensor& targets,
                double scale = 1, const Tensor& device_scale = {});

// Rows of the embedding as the first layer gets them: times model.embedding_scale.
Tensor scaled_embedding(const ModelConfig& config, const Tensor& rows);

// The sinusoid of each loop's index on the first channels, [T,D] fp32.
Tensor loop_embeddings(const ModelConfig& config, int64_t loops, at::Device device);

// A model to compute with: what load_model (checkpoint/checkpoint.h) gives, and what tests build.
struct Model {
  Model(const ModelConfig& config, at::Device device = at::kCPU)
      : config(config), parameters(config, device) {}
  Model(const ModelConfig& config, Parameters parameters)
      : config(config), parameters(std::move(parameters)) {}
  ModelConfig config;
  Parameters parameters;
};

}  // namespace mythos
