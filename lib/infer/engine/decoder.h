#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/decode_config.h"
#include "model/model.h"

namespace mythos {

// Whether the model's forward(), which alone computes on devices other than the CPU, offers an
// exit.
bool plain_path_offers(ExitRule exit, Halting halting);

// The warning that weights of this format deserve on a device; empty where there is none.
std::string slow_weights(WeightFormat weights, at::Device device);

class NativeDecoder;

// One model made ready for inference: computes the next tokens of any number of sequences, each
// with a cache of its own and its own number of loops.
class Decoder {
 public:
  struct Options : DecodeConfig {
    // false: the model's forward() alone, as on a device other than the CPU. It knows no exit but
    // that of act; the native path is tested against it.
    bool native = true;
  };
  // A token to compute behind those in its sequence's cache. Rows of one cache stand together, in
  // the order of their positions.
  struct Row {
    KvCache* cache = nullptr;
    uint32_t id = 0;
    int64_t loops = 0;        // at most, up to those of the cache; 0 means those
    float* logits = nullptr;  // [V] of the next token are written here; null: not wanted
    int64_t loops_run = 0;    // out
    bool full_depth = false;  // the exit rule does not apply
  };
  // Most rows of one step.
  static constexpr int64_t kMaxRows = 32;

  // The model must outlive the decoder, which computes on the device that holds its parameters.
  Decoder(const Model& model, const Options& options);
  // Takes the parameters: with rounded or bf16 weights they need no memory beside those. `prepare`
  // is that of make_inference_weights().
  Decoder(Model&& model, const Options& options, const PrepareParameter& prepare = {});
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  std::unique_ptr<KvCache> make_cache(int64_t loops, int64_t capacity_tokens) const;

  // Computes all rows, appends their keys and values to their caches and advances those. Results
  // of a row do not depend on which other rows share the step. On the CPU this is one native pass
  // without tensors (native_decoder.h).
  void step(std::span<Row> rows);
  // Feeds one sequence any number of tokens at full depth, whatever the exit rule; the logits of
  // the last are written to `logits` [V]. `cancelled` is asked between chunks; when it says yes the
  // cache is as before, and the result false.
  bool prefill(KvCache& cache, std::span<const uint32_t> ids, float* logits,
               const std::function<bool()>& cancelled = {});

  const ModelConfig& config() const { return config_; }
  const Weights& weights() const { return weights_; }
  const Options& options() const { return options_; }
  at::Device device() const { return weights_.embed.device(); }

 private:
  Decoder(const ModelConfig& config, Weights weights, const Options& options);
  void plain_step(std::span<Row> rows);

  ModelConfig config_;
  Weights weights_;
  Options options_;
  std::unique_ptr<NativeDecoder> native_;  // null where it does not serve
};

}  // namespace mythos
