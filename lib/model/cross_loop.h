#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/kv_cache.h"

// A low-rank cache across loops, in the manner of Cross-loop KV (arXiv 2607.15456). A token's keys
// of all T loops of a core layer, side by side, are a vector of T·W numbers: W those of a key head,
// or, with mla, of the latent and the rotated key. Such vectors lie near a space of R dimensions,
// spanned by the first R singular vectors of those of a calibration text; values likewise. A cache
// keeps the R coordinates of each token, and loop t reads its own keys from rows t·W … t·W+W-1 of
// the basis. Keys are taken as they are before the rotary embedding, which is undone and done again
// by the tokens' positions: what position adds would take dimensions of its own.
namespace mythos {

struct CrossLoopBasis {
  int64_t loops = 0, rank = 0;  // T, R
  // For each core layer [U,T·W,R] fp32, orthonormal columns, of a and b of CacheLayout: U key heads
  // of W = head_dim, or one of W = kv_lora_rank + qk_rope_head_dim (mla, which has no b).
  std::vector<std::array<at::Tensor, 2>> layers;
  // Some of the embedding of the model that it was fitted to, fp32, by which that is known again.
  at::Tensor probe;
  std::string origin = "the basis";  // its file, for messages
};

struct CrossLoopShape {
  int64_t units = 0, width = 0;  // U, W of a core layer
  explicit CrossLoopShape(const ModelConfig& config);
};

// CrossLoopBasis::probe of an embedding [V,D].
at::Tensor cross_loop_probe(const at::Tensor& embedding);
// Fails (data), naming basis.origin, unless layers and probe are those of a model with this
// embedding, in its own type or rounded to bf16.
void check_cross_loop(const CrossLoopBasis& basis, const ModelConfig& config,
                      const at::Tensor& embedding);

// Fails (usage) where the basis was fitted for fewer loops.
void require_loops(const CrossLoopBasis& basis, int64_t loops);

// Turns keys of the core back to what they were before the rotary embedding, and forth.
class KeyTurner {
 public:
  KeyTurner(const ModelConfig& config, at::Device device);
  // x [B,S,U,W] fp32, keys of tokens first … first+S-1; the result is a new tensor.
  at::Tensor back(const at::Tensor& x, int64_t first) { return turn(x, first, -1); }
  at::Tensor forth(const at::Tensor& x, int64_t first) { return turn(x, first, 1); }

 private:
  at::Tensor turn(const at::Tensor& x, int64_t first, double direction);

  int64_t rope_dim_;
  double theta_;
  RopePairing pairing_;
  at::Tensor cos_, sin_;  // [tokens,rope_dim/2] fp32, of the tokens from 0 on
};

// The keys and values of all loops of the tokens of one pass.
class CrossLoopPass {
 public:
  CrossLoopPass(const ModelConfig& config, int64_t loops, at::Device device);

  // x [B,S,...], keys (part 0) or values (1) of a core layer in a loop, of tokens from `first` on.
  void add(const CacheSlot& slot, size_t part, const at::Tensor& x, int64_t first);
  // What was added of all loops, [B,S,U,T·W] fp32, keys turned back; it is forgotten here. Loops
  // that were not run have what the last one left. Undefined where nothing was added.
  at::Tensor take(int64_t layer, size_t part);

  KeyTurner& turner() { return turner_; }

 private:
  CrossLoopShape shape_;
  int64_t loops_;
  KeyTurner turner_;
  std::vector<std::array<std::vector<at::Tensor>, 2>> tokens_;  // by core layer, part and loop
};

// What a low-rank cache does with tokens: while their loops run, they are kept as they are; then
// their coordinates are what stays.
class CrossLoopCoder {
 public:
  CrossLoopCoder(const ModelConfig& config, const CrossLoopBasis& basis, at::Device device);

  // The widths of the parts of what is stored of a token: U times R.
  const std::vector<int64_t>& groups() const { return groups_; }

  // fresh [B,S,...] are keys (part 0) or values (1) of a loop. Returns, in its type, those of all
  // tokens, [B,past+S,...]: the ones before by their coordinates [B,past,U·R] fp32.
  at::Tensor join(const CacheSlot& slot, size_t part, const at::Tensor& coordinates,
                  const at::Tensor& fresh);
  // The coordinates [B,S,U·R] fp32 of what join() was given since; undefined where it was not.
  at::Tensor coordinates(int64_t layer, size_t part);

 private:
  CrossLoopShape shape_;
  int64_t rank_;
  std::vector<std::array<at::Tensor, 2>> basis_;  // on the device
  std::vector<int64_t> groups_;
  CrossLoopPass pass_;
};

// Looks on as the keys and values of passes go by, and fits a basis to them: ForwardOptions::cache
// of passes over texts [B,S], each from position 0.
class CrossLoopFit final : public KvCache {
 public:
  CrossLoopFit(const ModelConfig& config, int64_t loops, at::Device device);

  // Bytes that it holds at its peak for fit(rank), where a pass has so many tokens. They grow with
  // the square of the loops.
  static double most_bytes(const ModelConfig& config, int64_t loops, int64_t rank,
                           int64_t pass_tokens);

  struct Result {
    CrossLoopBasis basis;  // on the CPU, without probe
    // The share of the energy, the sum of squares, that it keeps of each core layer's a and b.
    std::vector<std::array<double, 2>> kept;
  };
  // The basis with the least error over all that has gone by (Eckart and Young 1936), of a rank
  // from 1 to T·W: the space of the first singular vectors, turned so that its coordinates are of
  // one size. Fails (data) where a key or value was not finite.
  Result fit(int64_t rank) const;

  std::pair<at::Tensor, at::Tensor> append(const CacheSlot& slot, const at::Tensor& a,
                                           const at::Tensor& b, const at::Tensor& running) override;
  void advance(int64_t tokens) override;
  int64_t loops() const override { return loops_; }
  int64_t length() const override { return 0; }
  int64_t capacity() const override { return 0; }
  void reserve(int64_t) override {}
  void truncate(int64_t) override {}
  void copy_prefix(const KvCache&, int64_t) override {}
  int64_t size_bytes() const override { return 0; }
  int64_t bytes_per_token() const override { return 0; }
  void store(const CacheSlot&, int64_t, const float*, const float*) override {}
  void attend(const CacheSlot&, int64_t, const float*, int64_t, int64_t, float*,
              float*) const override {}
  void settle(int64_t, int64_t, int64_t) override {}

 private:
  int64_t loops_;
  CrossLoopPass pass_;
  std::vector<std::array<at::Tensor, 2>> moments_;  // by core layer: Σ x xᵀ, [U,T·W,T·W] fp64
};

}  // namespace mythos
