#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <utility>

#include "arch/cache_layout.h"
#include "config/decode_config.h"
#include "config/model_config.h"

namespace mythos {

// When tokens stop looping before their last loop, beside what the model's own halting does.
struct Exit {
  ExitRule rule = ExitRule::none;
  double threshold = 0;  // gate: the quantile
};

// Where a layer's keys are kept: the layers of the core have a place for each loop.
struct CacheSlot {
  Section section = Section::core;
  int64_t layer = 0;  // within the section
  int64_t loop = 0;   // a loop of the core; 0 elsewhere
};

// The contract of a key/value cache: the tokens seen so far, of which every layer of every loop
// keeps two things, `a` and `b` of CacheLayout. A new kind of cache implements this and is added to
// make_cache(). Two ways in: tensors of B sequences (append, advance), and single tokens of one
// sequence as rows of floats (store, attend, settle, advance), for which room is made before by
// reserve(). Rows of different tokens may be stored by different threads at a time.
class KvCache {
 public:
  virtual ~KvCache() = default;

  // Loops that have keys of their own at most.
  virtual int64_t loops() const = 0;
  // Tokens stored in every slot.
  virtual int64_t length() const = 0;
  // Tokens that there is room for.
  virtual int64_t capacity() const = 0;
  // Makes room for `tokens` tokens in all.
  virtual void reserve(int64_t tokens) = 0;
  // After every slot has taken the same number of tokens.
  virtual void advance(int64_t tokens) = 0;
  // Forgets all but the first `tokens` tokens.
  virtual void truncate(int64_t tokens) = 0;
  // Makes the first `tokens` tokens those of `from`, a cache of the same model, options and loops.
  // The tokens stored here so far are the same in both; those behind them are copied.
  virtual void copy_prefix(const KvCache& from, int64_t tokens) = 0;
  virtual int64_t size_bytes() const = 0;
  // Bytes that one token takes in all slots.
  virtual int64_t bytes_per_token() const = 0;

  // Writes a [B,S,...] and b (undefined where the layout has none) behind the length() tokens of
  // the slot and returns everything that its queries attend to, [B,length+S,...] in the compute
  // type. `running`, [B,S] bool, tells the positions that run this loop where some have stopped.
  virtual std::pair<at::Tensor, at::Tensor> append(const CacheSlot& slot, const at::Tensor& a,
                                                   const at::Tensor& b = {},
                                                   const at::Tensor& running = {}) = 0;

  // Writes one token, length() or a later one.
  virtual void store(const CacheSlot& slot, int64_t token, const float* a, const float* b) = 0;
  // Attention of `heads` queries, already scaled, over the first `tokens` tokens. mla: the keys are
  // `a`, the values its first group; gqa: group `key_head` of a and b. q [heads, key width] → out
  // [heads, value width]; work: as cpu::attention_work_floats() says.
  virtual void attend(const CacheSlot& slot, int64_t key_head, const float* q, int64_t heads,
                      int64_t tokens, float* out, float* work) const = 0;
  // The token has run `loops_run` of `loops` loops: what it left of the last one serves the others.
  virtual void settle(int64_t token, int64_t loops_run, int64_t loops) = 0;
};

struct CrossLoopBasis;  // cross_loop.h

// `basis` is that of CacheSharing::low_rank, on any device. Fails (usage) where it has fewer loops.
std::unique_ptr<KvCache> make_cache(const ModelConfig& config, int64_t loops, int64_t batch,
                                    int64_t capacity_tokens, at::Device device,
                                    at::ScalarType compute_type, const CacheOptions& options = {},
                                    const std::shared_ptr<const CrossLoopBasis>& basis = {});

}  // namespace mythos
