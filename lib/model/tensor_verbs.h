#pragma once
#include "model/halting.h"
#include "model/model.h"
#include "model/transformer.h"
#include "ops/attention/attention.h"

namespace mythos {

// The verbs on LibTorch tensors, for one forward pass: with autograd, on any device. Copies share
// the tensors; the piece that a backward pass computes again runs on a copy made in its loop.
class TensorVerbs final : public Verbs {
 public:
  // config and result must outlive the verbs. `result` takes the loads of experts and what halting
  // tells.
  TensorVerbs(const ModelConfig& config, at::ScalarType compute_type, const Tensor& ids,
              const ForwardOptions& options, ForwardResult& result);

  Value embed(const Tensor& table) override;
  Value add_embedding(const Value& x, const Value& gate, const Matrix& table) override;
  Value product(const Value& x, const Matrix& w) override;
  Value gated_product(const Value& x, const Matrix& gate_up) override;
  Value relu2_product(const Value& x, const Matrix& up) override;
  Value softcap(const Value& x, double bound) override;
  Value add_low_rank(const Value& x, const Tensor& down, const Value& scale,
                     const Tensor& up) override;
  Value norm(const Value& x, const Tensor& weight, Precision precision) override;
  std::pair<Value, Value> add_norm(const Value& x, const Value& y, const Value& shift,
                                   const Tensor& weight) override;
  Value add(const Value& x, const Value& y) override;
  Value add_bias(const Value& x, const Tensor& bias) override;
  Value sum(const std::vector<Term>& terms) override;
  Value concat(const Value& x, const Value& y) override;
  std::vector<Value> split(const Value& x, const std::vector<int64_t>& widths) override;
  Value narrow(const Value& x) override;
  Value wide(const Value& x) override;
  Value zeros_like(const Value& x) override;
  Value random_like(const Value& x) override;
  Value heads(const Value& x, int64_t count) override;
  Value norm_heads(const Value& x, const Tensor& weight, double eps) override;
  Value rope(const Value& x) override;
  Value attend_grouped(const Value& q, const Value& k, const Value& v,
                       const LayerId& layer) override;
  Value attend_latent(const Value& q, const Value& latent, const Value& key, const Tensor& kv_up,
                      const LayerId& layer) override;
  Routing route(const Value& scores, const Tensor& bias, const LayerId& layer) override;
  Value experts(const Value& x, const Routing& routing, const Matrix& gate_up, const Matrix& down,
                const Value& onto) override;
  Value loop_embedding() override;
  Value at_loop(const Tensor& table) override;
  Value repeat(Value h, const std::function<Value(const Value&)>& body) override;
  Value running(const Value& x) override;
  Value merge(const Value& all, const Value& some) override;
  void stop_settled(const Value& before, const Value& after, const Exit& exit) override;
  void stop_agreed(const Value& logits, const Exit& exit) override;
  Value agreed_logits() override { return agreed_; }
  void halt(const Value& h, const HaltingWeights& w) override;
  Value output_if_stopped(const Value& h, const HaltingWeights& w) override;
  Value halted_output() override { return halting_.output(); }
  void gate(const Value& h, const HaltingWeights& w) override;
  bool wants_output() const override;
  void take_output(const Value& output) override;
  void examine(const Value& before, const Value& after, const Map& map) override;
  void leave_state(const Value& h, const Tensor& norm) override;
  Value wanted(const Value& x) override;
  void want_last() override { last_query_ = true; }
  void begin_block(const LayerId& block) override;
  Value end_block(const LayerId& block, const Value& x) override;
  bool recomputes(Recompute piece) const override;
  Value recomputed(const std::vector<Value>& values, const std::vector<Tensor>& weights,
                   const Piece& piece) override;

 private:
  // Keys and values of a layer for the S tokens of the pass, kept from one loop to the next where
  // positions may stop: a position that has stopped keeps those of the loop in which it did. Latent
  // attention keeps the latent and the rotated key [B,S,rank] and [B,S,1,rope], side by side in `a`
  // when there is a cache; where halted positions are skipped without one, keys and values.
  struct KeptKeys {
    Tensor a, b;
  };
  // Which positions run this loop. All do where nothing is defined. Either all are computed and
  // `mask`, [B,S] bool, tells the ones that run, or x is [1,N,D] and holds the N `rows` that run,
  // which have the indices `index`, [N] int64, among the B·S positions.
  struct Running {
    Tensor mask, index;
    PackedRows rows;
  };

  // Before the loop: which positions run it; false where none does.
  bool begin_loop();
  // The positions that have not stopped before this loop, [B,S] bool; undefined for all.
  Tensor not_stopped() const;
  void run_all();
  void select_running(const Tensor& running);
  // The keys of the loops that no position runs.
  void fill_cache(int64_t first_loop);
  void count_repeats(const Tensor& experts, const Tensor& counted, const LayerId& layer);
  KeptKeys* kept_keys(const LayerId& layer);
  // All positions' [B,S,...]: fresh ones of those that run, and what `kept` has of the others.
  Tensor keep(Tensor& kept, const Tensor& fresh) const;
  std::pair<Tensor, Tensor> append(const LayerId& layer, const Tensor& a, const Tensor& b);
  Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v) const;
  Tensor attend_absorbed(const Tensor& q, const Tensor& cached, const Tensor& kv_up) const;
  // A mask of this loop's rows as one of all positions, false elsewhere.
  Tensor of_all(const Tensor& mask) const;
  void stop(const Tensor& mask);
  // A random direction at the states h [B,S,D] fp32, short beside them: that of J v.
  Tensor probe_direction(const Tensor& h) const;

  const ModelConfig& c_;
  ForwardOptions options_;
  ForwardResult* result_;  // null in a piece that is computed again
  at::ScalarType compute_type_;
  Tensor ids_;
  KvCache* cache_;
  int64_t loops_;
  bool mixes_, freezes_, skips_;
  bool last_query_ = false;

  // The state of the loop that runs.
  int64_t loop_ = 0;
  Tensor all_cos_, all_sin_, cos_, sin_, document_begins_, counted_;
  Running running_;
  Tensor loop_embeddings_;
  std::vector<KeptKeys> kept_;  // those of core layers, with exit by kl then of coda layers
  HaltingState halting_;
  Tensor stopping_, stopped_;   // [B,S] bool: by an exit in this loop; in an earlier one
  Tensor agreed_;               // [B,S,V] fp32
  Tensor criterion_;            // [B,S] fp32: what an exit rule that compares outputs gave last
  Tensor loops_run_;            // [B,S] int64
  std::vector<Tensor> chosen_;  // [N,k] int64 by core layer: the experts of the newest loop
  Tensor log_stay_;             // [B,S] fp32: log of the gate's probability of no exit so far
};

}  // namespace mythos
