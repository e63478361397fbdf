#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/decode_config.h"
#include "model/model.h"
#include "model/row_program.h"

namespace mythos {

// The warning that weights of this format deserve on a device; empty where there is none.
std::string slow_weights(WeightFormat weights, at::Device device);

// One model made ready for inference: computes the next tokens of any number of sequences, each
// with a cache of its own and its own number of loops.
class Decoder {
 public:
  struct Options : DecodeConfig {
    // false: tensors alone, as on a device other than the CPU.
    bool native = true;
    // Where other processes hold routed experts too; then tensors compute. Null: the weights have
    // all of them.
    ExpertExchange* experts = nullptr;
  };
  using Row = DecodeRow;
  // Most rows of one step.
  static constexpr int64_t kMaxRows = RowProgram::kMaxRows;

  // The model must outlive the decoder, which computes on the device that holds its parameters.
  Decoder(const Model& model, const Options& options);
  // Takes the parameters: with rounded or bf16 weights they need no memory beside those. `prepare`
  // is that of make_inference_weights().
  Decoder(Model&& model, const Options& options, const PrepareParameter& prepare = {});
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  std::unique_ptr<KvCache> make_cache(int64_t loops, int64_t capacity_tokens) const;
  // Fails (usage) where a cache cannot have so many loops (CacheSharing::low_rank).
  void check_loops(int64_t loops) const;

  // Computes all rows, appends their keys and values to their caches and advances those. Results
  // of a row do not depend on which other rows share the step. On the CPU this is one pass of a
  // RowProgram.
  void step(std::span<Row> rows);
  // Feeds one sequence any number of tokens at full depth, whatever the exit rule, in chunks of
  // prefill_chunk; the logits of the last are written to `logits` [V], and its state behind coda
  // and final norm to `hidden` [D], unless those are null. Every token starts from the first state
  // of the configuration; `last_state` [D] takes what the token behind them may start from.
  void prefill(KvCache& cache, std::span<const uint32_t> ids, float* logits,
               float* hidden = nullptr, float* last_state = nullptr);

  const ModelConfig& config() const { return config_; }
  const Weights& weights() const { return weights_; }
  const Options& options() const { return options_; }
  at::Device device() const { return weights_.embed.device(); }

 private:
  Decoder(const ModelConfig& config, Weights weights, const Options& options);
  void tensor_step(std::span<Row> rows);
  void row_step(std::span<Row> rows);
  // A few tokens of one sequence as rows.
  void row_feed(KvCache& cache, std::span<const uint32_t> ids, const Row& last);

  ModelConfig config_;
  Weights weights_;
  Options options_;
  std::shared_ptr<const CrossLoopBasis> basis_;  // of CacheSharing::low_rank
  // Both null where tensors compute the steps; the second one, without exits, where an exit costs
  // rows at full depth something.
  std::unique_ptr<RowProgram> program_, full_depth_program_;
};

}  // namespace mythos
