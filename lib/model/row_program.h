#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "model/initial_state.h"
#include "model/transformer.h"

namespace mythos {

// A token to compute behind those in its sequence's cache. Rows of one cache stand together, in the
// order of their positions.
struct DecodeRow {
  KvCache* cache = nullptr;
  uint32_t id = 0;
  int64_t loops = 0;        // at most, up to those of the cache; 0 means those
  float* logits = nullptr;  // [V] of the next token are written here; null: not wanted
  int64_t loops_run = 0;    // out
  bool full_depth = false;  // the exit rule does not apply
  // [D]: what enters the first layer instead of the id's embedding; null: that.
  const float* input = nullptr;
  // [D]: the state behind coda and final norm is written here, where `input` may be; null: not
  // wanted. Not where the program exits by a rule that compares outputs (exit_criteria.h).
  float* hidden = nullptr;
  // [D]: the state before the first loop; null: the configuration's.
  const float* first_state = nullptr;
  // [D]: takes the state that the next token may start from, after the last loop, where
  // `first_state` may be; null: not wanted.
  float* last_state = nullptr;
};

// The text of the model as a flat list of steps that a team of threads goes through for each token
// on the CPU: one pass over the weights for all rows, no allocation, barriers only where a thread
// reads what another has written. Activations are fp32 whatever the weights are. Results of a row
// do not depend on which other rows share the pass.
class RowProgram {
 public:
  static constexpr int64_t kMaxRows = 32;

  // Configuration and weights must outlive the program.
  RowProgram(const ModelConfig& config, const Weights& weights, const Exit& exit,
             const StateDraw& draw = {});
  ~RowProgram();

  // Computes at most kMaxRows rows, appends their keys and values to their caches and advances
  // those.
  void run(std::span<DecodeRow> rows);
  // Barriers of one pass: before the loops, in a loop, after them.
  struct Barriers {
    int64_t before = 0, loop = 0, after = 0;
  };
  Barriers barriers() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mythos
