#include "model/row_program.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "model/row_lane.h"
#include "model/tensor_verbs.h"
#include "ops/attention/rope.h"

namespace mythos {

struct RowProgram::State {
  State(const ModelConfig& config, const Weights& weights, const Exit& exit, const StateDraw& draw)
      : config(config), draw(draw), steps(record_rows(config, weights, exit)) {
    for (const ScratchMemory& memory : steps.memory) {
      shared.emplace_back(memory.shared ? memory.rows : 0, memory.width);
    }
    if (config.initial_state == InitialState::random) first_states = {kMaxRows, config.dim};
  }

  void reserve(int64_t loop_count, int64_t position_count);
  // The random first states of rows `begin` … of one sequence, which stand at `position` and on.
  void draw_states(int64_t begin, int64_t count, int64_t position);
  void add_lane();
  void run(Lane& lane, std::span<DecodeRow> rows, const Team::Member& member) const;

  const ModelConfig& config;
  const StateDraw draw;
  RecordedSteps steps;
  std::vector<FloatRows> shared;  // by memory; empty where each thread has its own
  FloatRows first_states;         // of the rows in flight, where they are random
  std::vector<Lane> lanes;
  at::Tensor cos, sin;
  int64_t positions = 0;
  Team team;
};

RowProgram::RowProgram(const ModelConfig& config, const Weights& weights, const Exit& exit,
                       const StateDraw& draw)
    : state_(std::make_unique<State>(config, weights, exit, draw)) {}

RowProgram::~RowProgram() = default;

// Makes the tables of loops and positions long enough.
void RowProgram::State::reserve(int64_t loop_count, int64_t position_count) {
  if (steps.embedding && loop_count > steps.embedding->count) {
    const Tensor embeddings = loop_embeddings(config, loop_count, at::kCPU).contiguous();
    steps.embedding->rows = FloatRows(loop_count, config.dim);
    for (int64_t t = 0; t < loop_count; ++t) {
      std::copy_n(embeddings.data_ptr<float>() + t * config.dim, config.dim,
                  steps.embedding->rows[t]);
    }
    steps.embedding->count = loop_count;
  }
  if (position_count > positions) {
    positions = std::max(position_count, 2 * positions);
    std::tie(cos, sin) = rope_table(0, positions, config.rope_dim(), config.rope_theta, at::kCPU);
    cos = cos.contiguous(), sin = sin.contiguous();
  }
}

void RowProgram::State::draw_states(int64_t begin, int64_t count, int64_t position) {
  const Tensor states =  // [1,count,D]
      initial_states(at::full({1}, draw.seed, at::kInt),
                     at::arange(position, position + count, at::kInt), config.dim,
                     config.state_std * draw.scale);
  for (int64_t i = 0; i < count; ++i) {
    std::copy_n(states.data_ptr<float>() + i * config.dim, config.dim, first_states[begin + i]);
  }
}

void RowProgram::State::add_lane() {
  Lane lane;
  lane.active.reserve(kMaxRows);
  lane.work.resize(static_cast<size_t>(steps.work_floats));
  const bool moe = config.ffn == FeedForward::moe;
  const auto choices = static_cast<size_t>(kMaxRows * (moe ? config.n_experts_per_tok : 0));
  lane.expert.resize(choices);
  lane.order.resize(choices);
  lane.weight.resize(choices);
  for (size_t i = 0; i < steps.memory.size(); ++i) {
    const ScratchMemory& memory = steps.memory[i];
    lane.own.emplace_back(memory.shared ? 0 : memory.rows, memory.width);
    FloatRows& rows = memory.shared ? shared[i] : lane.own.back();
    lane.scratch.push_back({rows[0], rows.stride()});
  }
  lanes.push_back(std::move(lane));
}

void RowProgram::State::run(Lane& lane, std::span<DecodeRow> rows,
                            const Team::Member& member) const {
  const auto run_all = [&](const std::vector<RecordedStep>& list) {
    for (const RecordedStep& step : list) {
      if (step.barrier) member.barrier();
      step.run(lane);
    }
  };
  const auto all_active = [&] {
    lane.active.clear();
    for (size_t i = 0; i < rows.size(); ++i) lane.active.push_back(static_cast<int64_t>(i));
  };
  lane.rows = rows;
  lane.member = &member;
  lane.loop = 0;
  lane.rotation = {cos.data_ptr<float>(), sin.data_ptr<float>()};
  lane.rotation_width = config.rope_dim() / 2;
  lane.first_states = &first_states;
  all_active();
  for (const int64_t row : lane.active) {
    const auto at = static_cast<size_t>(row);
    const bool follows = row > 0 && rows[at].cache == rows[at - 1].cache;
    lane.position[at] = follows ? lane.position[at - 1] + 1 : rows[at].cache->length();
    lane.cumulative[at] = 0;
    lane.stops[at] = false;
  }
  run_all(steps.before);
  for (;; ++lane.loop) {
    std::erase_if(lane.active, [&](int64_t row) { return lane.stops[static_cast<size_t>(row)]; });
    if (lane.active.empty()) break;
    run_all(steps.loop);
  }
  all_active();
  run_all(steps.after);
}

void RowProgram::run(std::span<DecodeRow> rows) {
  State& state = *state_;
  int64_t loops = 0, positions = 0;
  for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    KvCache& cache = *rows[begin].cache;
    while (end < rows.size() && rows[end].cache == &cache) ++end;
    const auto count = static_cast<int64_t>(end - begin);
    cache.reserve(cache.length() + count);
    if (state.config.initial_state == InitialState::random) {
      state.draw_states(static_cast<int64_t>(begin), count, cache.length());
    }
    loops = std::max(loops, cache.loops());
    positions = std::max(positions, cache.capacity());
  }
  state.reserve(loops, positions);
  const int threads = at::get_num_threads();
  while (static_cast<int>(state.lanes.size()) < threads) state.add_lane();
  state.team.run(threads, [&](const Team::Member& member) {
    state.run(state.lanes[static_cast<size_t>(member.index())], rows, member);
  });
  for (const DecodeRow& row : rows) row.cache->advance(1);
}

RowProgram::Barriers RowProgram::barriers() const {
  const auto count = [](const std::vector<RecordedStep>& list) {
    return std::count_if(list.begin(), list.end(), [](const auto& step) { return step.barrier; });
  };
  const RecordedSteps& steps = state_->steps;
  return {count(steps.before), count(steps.loop), count(steps.after)};
}

}  // namespace mythos
