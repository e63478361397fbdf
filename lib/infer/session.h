#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "infer/decoder.h"

namespace mythos {

// Most loops that can be asked for: a bound against typing errors, far beyond any use.
constexpr int64_t kMaxLoops = 1 << 20;

// One sequence being computed with one model: weights made ready once, and the key/value cache of
// the tokens fed so far.
class Session {
 public:
  struct Options : Decoder::Options {
    int64_t loops = 0;  // 0 means the model's max_loop_iters
  };
  // The model must outlive the session and computes on the device that holds its parameters.
  Session(const Model& model, const Options& options);
  // Takes the model's parameters.
  Session(Model&& model, const Options& options);

  // Feeds tokens behind those fed so far and returns the logits of the last, [V]. Fails (data) when
  // an id is not in the vocabulary or the tokens exceed the context, stating both lengths.
  // `cancelled` is asked between chunks; when it says yes the session is as before and the result
  // is empty.
  std::vector<float> feed(std::span<const uint32_t> ids,
                          const std::function<bool()>& cancelled = {});
  // Forgets all but the first `tokens` tokens.
  void truncate(int64_t tokens);
  // Another number of loops; forgets all tokens, since each loop has a cache of its own.
  void set_loops(int64_t loops);

  int64_t loops() const { return loops_; }
  int64_t length() const { return cache_ ? cache_->length() : 0; }
  int64_t context_tokens() const { return decoder_->config().max_seq_len; }
  int64_t vocab_size() const { return decoder_->config().vocab_size; }
  torch::Device device() const { return decoder_->device(); }
  torch::Dtype compute_type() const { return decoder_->weights().compute_type; }
  const Decoder& decoder() const { return *decoder_; }
  int64_t cache_bytes() const { return cache_ ? cache_->size_bytes() : 0; }

 private:
  void check(std::span<const uint32_t> ids) const;

  std::unique_ptr<Decoder> decoder_;
  int64_t loops_ = 0;
  std::unique_ptr<KvCache> cache_;  // made with the first tokens, when their number is known
};

}  // namespace mythos
