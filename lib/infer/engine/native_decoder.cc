#include "infer/engine/native_decoder.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "infer/engine/native_step.h"

namespace mythos {

struct NativeDecoder::State {
  State(const ModelConfig& config, const Weights& weights, const Decoder::Options& options)
      : model(config, weights), options(options), buffers(config, options) {}

  NativeModel model;
  const Decoder::Options& options;
  StepBuffers buffers;
  std::vector<StepLane> lanes;  // of each thread
  Team team;
};

NativeDecoder::NativeDecoder(const ModelConfig& config, const Weights& weights,
                             const Decoder::Options& options)
    : state_(std::make_unique<State>(config, weights, options)) {}

NativeDecoder::~NativeDecoder() = default;

void NativeDecoder::step(std::span<Decoder::Row> rows) {
  State& state = *state_;
  int64_t loops = 0, positions = 0;
  for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    KvCache& cache = *rows[begin].cache;
    while (end < rows.size() && rows[end].cache == &cache) ++end;
    cache.reserve(cache.length() + static_cast<int64_t>(end - begin));
    loops = std::max(loops, cache.loops());
    positions = std::max(positions, cache.capacity());
  }
  state.model.reserve(loops, positions);
  const int threads = at::get_num_threads();
  while (static_cast<int>(state.lanes.size()) < threads) {
    state.lanes.emplace_back(state.model.config);
  }
  state.team.run(threads, [&](const Team::Member& member) {
    NativeStep(state.model, state.options, rows, state.buffers,
               state.lanes[static_cast<size_t>(member.index())], member)
        .run();
  });
  for (const Decoder::Row& row : rows) row.cache->advance(1);
}

void NativeDecoder::feed(KvCache& cache, std::span<const uint32_t> ids, float* logits) {
  std::array<Decoder::Row, kPromptRows> rows;
  for (size_t i = 0; i < ids.size(); ++i) {
    rows[i] = {&cache, ids[i], 0, i + 1 == ids.size() ? logits : nullptr, 0, true};
  }
  step(std::span(rows).first(ids.size()));
}

}  // namespace mythos
