#pragma once
#include <array>
#include <functional>
#include <span>
#include <vector>

#include "base/team.h"
#include "model/row_program.h"
#include "ops/linear/row_products.h"

// What a recorded program consists of, and what its threads work on.
namespace mythos {

constexpr int64_t kMaxRows = RowProgram::kMaxRows;

// Rows of floats, each from the start of a cache line on.
class FloatRows {
 public:
  FloatRows() = default;
  FloatRows(int64_t rows, int64_t width)
      : stride_((width + kWeightGroup - 1) / kWeightGroup * kWeightGroup),
        data_(static_cast<size_t>(rows * stride_)) {}
  float* operator[](int64_t row) { return data_.data() + row * stride_; }
  const float* operator[](int64_t row) const { return data_.data() + row * stride_; }
  int64_t stride() const { return stride_; }

 private:
  int64_t stride_ = 0;
  std::vector<float> data_;
};

// A table with a row for each loop; loops beyond it have its last row.
struct LoopTable {
  FloatRows rows;
  int64_t count = 0;
};

// Scratch memory of a program: `rows` rows for all threads, or for each thread its own. All threads
// compute what is their own alike, which costs less than a barrier.
struct ScratchMemory {
  int64_t rows = 0, width = 0;
  bool shared = false;
};

// Where a step reads or writes: scratch memory, a vector, or the row of a table.
struct Operand {
  size_t memory = 0;
  int64_t first = 0;
  const float* vector = nullptr;
  const LoopTable* table = nullptr;
  bool defined = true;
};

// What one thread works on.
struct Lane {
  using Pointers = std::array<const float*, kMaxRows>;
  using Targets = std::array<float*, kMaxRows>;

  // The state of the pass.
  std::span<DecodeRow> rows;
  const Team::Member* member = nullptr;
  int64_t loop = 0;
  std::vector<int64_t> active;               // rows that compute now
  std::array<int64_t, kMaxRows> position{};  // each row's place in its sequence
  std::array<float, kMaxRows> cumulative{};  // probability of having halted
  std::array<double, kMaxRows> criterion{};  // an exit rule's value after the loop before
  std::array<bool, kMaxRows> stops{};        // with this loop
  std::array<const float*, 2> rotation{};    // cos and sin of position 0, rope_dim/2 each
  int64_t rotation_width = 0;
  const FloatRows* first_states = nullptr;  // of the rows, where they are random
  // Where each scratch memory begins for this thread, and the distance of its rows.
  struct Rows {
    float* data;
    int64_t stride;
  };
  std::vector<Rows> scratch;
  std::vector<FloatRows> own;
  std::vector<float> work;  // memory of one attention task
  // Each active row's k experts, their weights, and the numbers of these choices in order of
  // expert.
  std::vector<int64_t> expert, order;
  std::vector<float> weight;

  float* at(const Operand& x, int64_t row) const {
    const Rows& rows = scratch[x.memory];
    return rows.data + row * rows.stride + x.first;
  }
  const float* read(const Operand& x, int64_t row) const {
    if (x.vector) return x.vector;
    if (x.table) return x.table->rows[std::min(loop, x.table->count - 1)];
    return at(x, row);
  }
  int64_t active_rows() const { return static_cast<int64_t>(active.size()); }
  Pointers lines(const Operand& from) const {
    Pointers out{};
    for (size_t i = 0; i < active.size(); ++i) out[i] = at(from, active[i]);
    return out;
  }
  Targets targets(const Operand& to) const {
    Targets out{};
    for (size_t i = 0; i < active.size(); ++i) out[i] = at(to, active[i]);
    return out;
  }
  bool mine(int64_t row) const { return row % member->count() == member->index(); }
  DecodeRow& row(int64_t index) const { return rows[static_cast<size_t>(index)]; }
  int64_t position_of(int64_t row) const { return position[static_cast<size_t>(row)]; }
  int64_t loops_of(int64_t index) const {
    const DecodeRow& of = row(index);
    return of.loops > 0 ? of.loops : of.cache->loops();
  }
  const float* cos(int64_t row) const { return rotation[0] + position_of(row) * rotation_width; }
  const float* sin(int64_t row) const { return rotation[1] + position_of(row) * rotation_width; }
};

// How the threads divide what they read or write of something shared: each the same share in every
// step with this pattern, or, with `any`, whatever a step says.
struct Sharing {
  int64_t size = 0, grain = 0;
  bool operator==(const Sharing&) const = default;
  bool any() const { return size == 0; }

  static Sharing columns(int64_t size, int64_t grain) { return {size, grain}; }
  static Sharing own_rows() { return {-1, 1}; }
};

struct Access {
  int64_t what = 0;  // shared scratch memory, kCache + a layer's number, or kOwnMemory
  bool writes = false;
  Sharing sharing = {};
};
constexpr int64_t kCache = int64_t{1} << 40;
constexpr int64_t kOwnMemory = -1;  // a thread's own, which no other waits for

struct RecordedStep {
  std::function<void(Lane&)> run;
  std::vector<Access> accesses;
  bool barrier = false;  // before it
};

// The steps before the loops, of one loop, and after them.
struct RecordedSteps {
  std::vector<RecordedStep> before, loop, after;
  std::vector<ScratchMemory> memory;
  std::vector<at::Tensor> constants;  // that steps point into
  std::vector<std::unique_ptr<LoopTable>> tables;
  LoopTable* embedding = nullptr;  // one of them: made for as many loops as are run
  int64_t work_floats = 0;
};

// This thread's share of silu(gate x) ⊙ up x, gate_up [2F,K]: x `count` rows, to `count` rows of F;
// `part` is memory of its own for as many.
inline void gated_rows(const Lane& lane, const cpu::RowMatrix& gate_up, const float* const* x,
                       int64_t count, float* const* to, const Operand& part) {
  const int64_t width = gate_up.rows / 2;
  const auto [begin, end] = lane.member->share(width, 16);
  cpu::row_products(gate_up, begin, end, x, count, to);
  Lane::Targets up{};
  for (int64_t i = 0; i < count; ++i) up[static_cast<size_t>(i)] = lane.at(part, i) - width;
  cpu::row_products(gate_up, width + begin, width + end, x, count, up.data());
  for (int64_t i = 0; i < count; ++i) {
    cpu::swiglu_row(to[i] + begin, lane.at(part, i) + begin, end - begin);
  }
}

// Records the text of the model (row_recorder.cc).
RecordedSteps record_rows(const ModelConfig& config, const Weights& weights, const Exit& exit);

}  // namespace mythos
