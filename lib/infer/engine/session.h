#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "infer/engine/decoder.h"

namespace mythos {

// Most loops that can be asked for: a bound against typing errors, far beyond any use.
constexpr int64_t kMaxLoops = 1 << 20;

// Fails (data) when a token to feed behind `before` others is not in the vocabulary, or they exceed
// the context, stating both lengths.
void check_tokens(const ModelConfig& config, int64_t before, std::span<const uint32_t> ids);

// Fails (usage) when the exit rule is wanted of a decoder that has none.
void check_exits(const Decoder& decoder, bool exits);

// A cache for a prompt, with room for an answer before it has to grow.
std::unique_ptr<KvCache> make_sequence_cache(const Decoder& decoder, int64_t loops,
                                             int64_t prompt_tokens);

// One sequence being computed with one model: weights made ready once, and the key/value cache of
// the tokens fed so far.
class Session {
 public:
  struct Options : Decoder::Options {
    int64_t loops = 0;  // 0 means the model's max_loop_iters
    bool exits = true;  // whether the decoder's exit rule applies
  };
  // The model must outlive the session and computes on the device that holds its parameters.
  Session(const Model& model, const Options& options);
  // Takes the model's parameters.
  Session(Model&& model, const Options& options);

  // Feeds tokens behind those fed so far and returns the logits of the last, [V]. Fails as
  // check_tokens(). `cancelled` is asked between chunks; when it says yes the session is as before
  // and the result is empty.
  std::vector<float> feed(std::span<const uint32_t> ids,
                          const std::function<bool()>& cancelled = {});
  // Feeds tokens that are known to fit, each with at most `loops` loops (0: all), and writes the
  // logits behind each to `logits`, [n,V]. The result is the loops that ran, of all tokens.
  int64_t step(std::span<const uint32_t> ids, int64_t loops, std::span<float> logits);
  // Forgets all but the first `tokens` tokens.
  void truncate(int64_t tokens);
  // Another number of loops, at most that many with `exits`, when the exit rule applies (fails as
  // check_exits()); forgets all tokens, since each loop has a cache of its own.
  void set_loops(int64_t loops, bool exits = false);

  int64_t loops() const { return loops_; }
  bool exits() const { return exits_; }
  int64_t length() const { return cache_ ? cache_->length() : 0; }
  int64_t context_tokens() const { return decoder_->config().max_seq_len; }
  int64_t vocab_size() const { return decoder_->config().vocab_size; }
  at::Device device() const { return decoder_->device(); }
  at::ScalarType compute_type() const { return decoder_->weights().compute_type; }
  const Decoder& decoder() const { return *decoder_; }
  int64_t cache_bytes() const { return cache_ ? cache_->size_bytes() : 0; }
  int64_t cache_bytes_per_token() const { return cache_ ? cache_->bytes_per_token() : 0; }

 private:
  std::unique_ptr<Decoder> decoder_;
  int64_t loops_ = 0;
  bool exits_ = false;
  std::vector<Decoder::Row> rows_;  // of step()
  std::unique_ptr<KvCache> cache_;  // made with the first tokens, when their number is known
};

}  // namespace mythos
