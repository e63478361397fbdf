#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "config/model_config.h"
#include "config/train_config.h"
#include "model/kv_cache.h"
#include "model/weights.h"

// What the text of the model (transformer.cc, injection.cc) is written in. Two things stand behind
// the verbs: LibTorch tensors (tensor_verbs.h: training, long prompts, any device), and a recorder
// (row_recorder.h) which lays out what a thread team does for each token while decoding.
namespace mythos {

struct ScratchRows;  // row_recorder.h
struct LoopTable;    // row_lane.h

// A number for each channel of each position in flight, [B,S,width], or the vector [width] that all
// positions share. Either `tensor` or, while recording, `rows` holds it; vectors are tensors in
// both. A default Value is nothing, where a mechanism is absent.
struct Value {
  at::Tensor tensor;

  // While recording: channels first … first+width-1 of scratch memory. A value that has been
  // divided into heads is normalised by `norm_weight` and rotated when attention reads it.
  std::shared_ptr<const ScratchRows> rows;
  int64_t first = 0, width = 0, heads = 0;
  const float* norm_weight = nullptr;
  double norm_eps = 0;
  bool rotated = false;
  const LoopTable* table = nullptr;  // a vector that changes from loop to loop

  Value() = default;
  Value(at::Tensor t) : tensor(std::move(t)) {}  // NOLINT: a tensor is a value as it stands
  bool defined() const { return tensor.defined() || rows || table; }
};

// The type of a result: that of the layers, or fp32 as the state of the recurrence has it.
enum class Precision { compute, state };

// value, or value ⊙ scale with a vector.
struct Term {
  Value value;
  Value scale = {};
};

// Where each position's k experts and their weights are.
struct Routing {
  at::Tensor experts, weights;  // [N,k] int64, fp32; while recording the threads keep them
};

// The head that halts.
using HaltingWeights = HaltingTensors<at::Tensor, Matrix>;

class Verbs {
 public:
  virtual ~Verbs() = default;

  // Rows of the table [V,D] by the ids of the pass, times model.embedding_scale → [B,S,D].
  virtual Value embed(const at::Tensor& table) = 0;
  // x, K heads, plus 2σ(gate) ⊙ the row of the table [V,K·d] by each position's id (Parcae): a gate
  // for each head.
  virtual Value add_embedding(const Value& x, const Value& gate, const Matrix& table) = 0;
  // x wᵀ, w [N,K] → width N.
  virtual Value product(const Value& x, const Matrix& w) = 0;
  // silu(gate x) ⊙ up x (Shazeer 2020), gate_up [2F,K] → width F.
  virtual Value gated_product(const Value& x, const Matrix& gate_up) = 0;
  // ½ relu(up x)² (Parcae, Prairie et al. 2026), up [F,K] → width F.
  virtual Value relu2_product(const Value& x, const Matrix& up) = 0;
  // bound · tanh(x / bound) of the logits x, which may be overwritten.
  virtual Value softcap(const Value& x, double bound) = 0;
  // x + ((x downᵀ) ⊙ scale) up, down and up [r,D], scale [r].
  virtual Value add_low_rank(const Value& x, const at::Tensor& down, const Value& scale,
                             const at::Tensor& up) = 0;
  // RMSNorm (Zhang and Sennrich 2019); of each head where x is divided into heads.
  virtual Value norm(const Value& x, const at::Tensor& weight,
                     Precision precision = Precision::compute) = 0;
  // The sum x + y (+ shift, a vector) in x's type, and its norm in the compute type.
  virtual std::pair<Value, Value> add_norm(const Value& x, const Value& y, const Value& shift,
                                           const at::Tensor& weight) = 0;
  virtual Value add(const Value& x, const Value& y) = 0;
  // x + bias, a vector, in x's type.
  virtual Value add_bias(const Value& x, const at::Tensor& bias) = 0;
  // Σ of the terms, as the state.
  virtual Value sum(const std::vector<Term>& terms) = 0;
  virtual Value concat(const Value& x, const Value& y) = 0;
  virtual std::vector<Value> split(const Value& x, const std::vector<int64_t>& widths) = 0;
  // narrow(): x in the type of the layers; wide(): x as the state has it.
  virtual Value narrow(const Value& x) = 0;
  virtual Value wide(const Value& x) = 0;
  virtual Value zeros_like(const Value& x) = 0;
  // A random first state of x's shape (initial_state.h).
  virtual Value random_like(const Value& x) = 0;

  // x divided into `count` heads, for norm(), rope() and attention.
  virtual Value heads(const Value& x, int64_t count) = 0;
  // RMSNorm of each head of x; without a weight where that is undefined.
  virtual Value norm_heads(const Value& x, const at::Tensor& weight, double eps) = 0;
  // Rotates the last rope_dim channels of each head by the position (Su et al. 2021), in the pairs
  // of model.rope_pairing.
  virtual Value rope(const Value& x) = 0;
  // Stores keys and values of the layer and attends to all that it has stored; results of all heads
  // side by side. q H heads, k and v K heads (Ainslie et al. 2023).
  virtual Value attend_grouped(const Value& q, const Value& k, const Value& v,
                               const LayerId& layer) = 0;
  // q H heads of nope+rope; latent and key one head (DeepSeek-V2); kv_up [H·(nope+v), rank].
  virtual Value attend_latent(const Value& q, const Value& latent, const Value& key,
                              const at::Tensor& kv_up, const LayerId& layer) = 0;

  // The k experts with the largest scores [.., E] plus bias (Wang et al. 2024; the bias has no
  // gradient), weighted by the softmax of their scores.
  virtual Routing route(const Value& scores, const at::Tensor& bias, const LayerId& layer) = 0;
  // Σ weight · down(silu(gate x) ⊙ up x) over each position's experts, plus `onto`.
  virtual Value experts(const Value& x, const Routing& routing, const Matrix& gate_up,
                        const Matrix& down, const Value& onto) = 0;

  // The sinusoid of the loop index, a vector; nothing when the configuration has none.
  virtual Value loop_embedding() = 0;
  // The row of this loop, a vector; loops beyond the table's have its last one.
  virtual Value at_loop(const at::Tensor& table) = 0;
  // body(h) for each loop; positions that have stopped keep their state.
  virtual Value repeat(Value h, const std::function<Value(const Value&)>& body) = 0;
  // running() picks the positions that run this loop; merge() puts them, changed, back among all.
  virtual Value running(const Value& x) = 0;
  virtual Value merge(const Value& all, const Value& some) = 0;

  // Positions stop whose states around this loop meet the exit rule, one that compares states
  // (exit_criteria.h).
  virtual void stop_settled(const Value& before, const Value& after, const Exit& exit) = 0;
  // Positions stop whose logits after this loop and the one before meet the exit rule, one that
  // compares outputs.
  virtual void stop_agreed(const Value& logits, const Exit& exit) = 0;
  // The logits that stop_agreed() has seen last of each position.
  virtual Value agreed_logits() = 0;
  // Adaptive computation time (Graves 2016): h is a position's state after this loop.
  virtual void halt(const Value& h, const HaltingWeights& w) = 0;
  // The output of positions that would stop after this loop, and of all after the last.
  virtual Value output_if_stopped(const Value& h, const HaltingWeights& w) = 0;
  virtual Value halted_output() = 0;
  // The gate of exits (halting = gate): h is a position's state after this loop. States are not
  // mixed; a position may stop by it where the exit rule is halting.
  virtual void gate(const Value& h, const HaltingWeights& w) = 0;

  // What training objectives ask of a loop. Whether they want the output that its state would give,
  // which take_output() takes.
  virtual bool wants_output() const { return false; }
  virtual void take_output(const Value&) {}
  // The loop's map, and the states before and after it; the last loop's are looked at.
  using Map = std::function<Value(Verbs& v, const Value& h)>;
  virtual void examine(const Value& /*before*/, const Value& /*after*/, const Map&) {}

  // h is the state after the last loop, which the next token may start from; `norm`, where defined,
  // is the weight of the norm that it gets before.
  virtual void leave_state(const Value& h, const at::Tensor& norm) = 0;

  // The positions of x [B,S,·] whose results are wanted; want_last() makes that the last one.
  virtual Value wanted(const Value& x) = 0;
  virtual void want_last() = 0;

  // Around all that reads the weights of a block (arch/shard_layout.h): a layer of prelude or coda,
  // or the core, named by its first layer. end_block() is given what comes out of the block.
  virtual void begin_block(const LayerId&) {}
  virtual Value end_block(const LayerId&, const Value& x) { return x; }

  // A piece of the text as a function of everything in it that may carry a gradient.
  using Piece = std::function<Value(Verbs& v, const std::vector<Value>& values,
                                    const std::vector<at::Tensor>& weights)>;
  // Whether a piece keeps only its inputs for the backward pass, which computes it again.
  virtual bool recomputes(Recompute piece) const = 0;
  // The result of a piece for which recomputes() holds.
  virtual Value recomputed(const std::vector<Value>& values, const std::vector<at::Tensor>& weights,
                           const Piece& piece) = 0;
};

// f(v, values, tensors), recomputed where that is asked for; `visit` lists the tensors:
// visit(tensors, f) as the parts' visit().
template <class Tensors, class Visit, class F>
Value piece(Verbs& v, Recompute kind, const std::vector<Value>& values, const Tensors& tensors,
            const Visit& visit, const F& f) {
  if (!v.recomputes(kind)) return f(v, values, tensors);
  std::vector<at::Tensor> flat;
  visit(tensors,
        [&](const Matrix& member, const TensorDeclaration&) { flat.push_back(member.values); });
  return v.recomputed(
      values, flat,
      [=](Verbs& again, const std::vector<Value>& given, const std::vector<at::Tensor>& weights) {
        Tensors rebuilt = tensors;
        size_t next = 0;
        visit(rebuilt, [&](auto& member, const TensorDeclaration&) { member = weights[next++]; });
        return f(again, given, rebuilt);
      });
}

}  // namespace mythos
