#pragma once
#include <array>
#include <span>
#include <vector>

#include "base/team.h"
#include "infer/engine/native_model.h"

namespace mythos {

// What the threads of one step share: a line for each row of the step.
struct StepBuffers {
  explicit StepBuffers(const ModelConfig& config, const Decoder::Options& options);

  FloatRows down;     // mla: query latent, key/value latent, rope key; gqa: queries, keys, values
  FloatRows q;        // mla: queries of all heads
  FloatRows heads;    // attention output of all heads
  FloatRows mixed;    // what attention or feed-forward adds to the residual stream
  FloatRows hidden;   // silu(gate) ⊙ up of the dense layer or the shared experts
  FloatRows router;   // logits of the experts
  FloatRows experts;  // silu(gate) ⊙ up of each row's k experts
  FloatRows entry;    // zoh: gain ⊙ B e; linear: what enters the core
  FloatRows logits, last_logits;  // exit by kl: after this loop and the one before
  std::vector<FloatRows> sums;    // average: keys and values of each core layer over the loops
};

// What one thread keeps for itself. All threads hold the same states and decide alike, which costs
// less than a barrier.
struct StepLane {
  explicit StepLane(const ModelConfig& config);

  FloatRows x;               // residual stream
  FloatRows h, e, output;    // state, injected input, what halting has gathered
  FloatRows normed, latent;  // inputs of products
  FloatRows pair;            // linear: h and e side by side
  FloatRows part;            // products that are used up at once
  std::vector<float> work;   // of one attention task
  std::vector<int64_t> active,
      position;  // rows that compute now; place of each row in its sequence
  std::vector<float> cumulative, change;  // halting probability; ‖h'−h‖/‖h‖ of the last loop
  std::vector<char> stopped;
  // Of each active row's k places: expert and weight; and the places in order of expert.
  std::vector<int64_t> expert, order;
  std::vector<float> weight;
};

// One thread's part of one step.
class NativeStep {
 public:
  NativeStep(const NativeModel& model, const Decoder::Options& options,
             std::span<Decoder::Row> rows, StepBuffers& shared, StepLane& lane,
             const Team::Member& member);
  void run();

 private:
  using Pointers = std::array<const float*, Decoder::kMaxRows>;
  using Targets = std::array<float*, Decoder::kMaxRows>;
  // A layer's place in the caches.
  struct Place {
    enum { prelude, core, coda } part;
    int64_t loop, layer;
  };

  // native_step.cc
  void begin();
  void loops();
  void enter(int64_t loop);
  void core(int64_t loop);
  void leave(int64_t loop);
  bool stops(int64_t row, int64_t loop);
  // A halting model's share of the state in the output, and the probability of having halted.
  struct Halt {
    float share, cumulative;
  };
  Halt halt(int64_t row, int64_t loop, bool stop) const;
  void end_loop(int64_t loop);
  void close_keys(int64_t row, int64_t loop);
  void exit_by_kl(int64_t loop);
  void coda();
  void finish();
  int64_t loops_of(int64_t row) const;
  ExitRule exit_of(int64_t row) const;

  // native_layers.cc
  void layer(const NativeLayer& layer, const Place& place);
  void attention(const NativeLayer& layer, const Place& place);
  void attention_tasks(const NativeLayer& layer, const Place& place);
  void latent_task(const NativeLayer& layer, const KvCache::Slot& slot, int64_t row, int64_t head,
                   int64_t heads);
  void grouped_task(const NativeLayer& layer, const KvCache::Slot& slot, int64_t row,
                    int64_t key_head);
  void store_keys(const NativeLayer& layer, const Place& place, int64_t row);
  void feed_forward(const NativeLayer& layer);
  void route(const NativeLayer& layer);
  void experts_in(const NativeLayer& layer);
  void experts_out(const NativeLayer& layer, int64_t begin, int64_t end);
  // f(expert, first, last) for each expert that has places order[first … last-1].
  template <class F>
  void for_experts(const F& f) const;

  Pointers lines(const FloatRows& from) const;
  Targets lines(FloatRows& to) const;
  int64_t active() const { return static_cast<int64_t>(lane_.active.size()); }
  bool mine(int64_t row) const { return row % member_.count() == member_.index(); }
  // This thread's share of to = w·from for the active rows.
  void product(const cpu::RowMatrix& w, const FloatRows& from, FloatRows& to);
  // This thread's share of silu(gate) ⊙ up.
  void gated_product(const cpu::RowMatrix& w, const float* const* from, int64_t count,
                     float* const* to);
  KvCache& cache(int64_t row) const { return *rows_[static_cast<size_t>(row)].cache; }
  int64_t position(int64_t row) const { return lane_.position[static_cast<size_t>(row)]; }
  KvCache::Slot& slot(int64_t row, const Place& place) const;

  const NativeModel& m_;
  const ModelConfig& c_;
  const Decoder::Options& options_;
  std::span<Decoder::Row> rows_;
  StepBuffers& shared_;
  StepLane& lane_;
  const Team::Member& member_;
  bool by_kl_;  // some row exits by ExitRule::kl
};

// Columns of a cache's store as the kernels take them; the int8 scales of the first `split` columns
// are those of `group`.
cpu::CachedRows cached_rows(const KvCache::Store& store, int64_t first, int64_t width,
                            int64_t group, int64_t split);

}  // namespace mythos
