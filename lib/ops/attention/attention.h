#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

namespace mythos {

// Causal scaled dot-product attention of S new tokens over P ≥ S tokens, of which the last S are
// the new tokens: query s sees keys 0 … P-S+s. Scores are scaled by 1/sqrt(d); softmax and sums are
// fp32. q [B,S,H,d], k [B,P,K,d], v [B,P,K,dv] of one type, K dividing H: key head j serves query
// heads j·H/K … (Ainslie et al. 2023). Result [B,S,H,dv]. On the CPU only blocks at or below the
// diagonal are computed, and the backward pass recomputes the weights from the row sums, as
// FlashAttention does (Dao et al. 2022).
//
// With first_key [B,S] int32 query s sees keys first_key[b,s] … P-S+s only, and on the CPU blocks
// before the first are left out; each must lie in 0 … P-S+s.
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const at::Tensor& first_key = {});
at::Tensor causal_attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                      const at::Tensor& first_key = {});

// A selection of positions of B sequences, packed one sequence after the other.
struct PackedRows {
  std::vector<int64_t> begins;  // [B+1]: rows begins[b] … begins[b+1]-1 are of sequence b
  at::Tensor position;          // [N] int32, on the queries' device, increasing within a sequence
};

// Causal attention for queries of some positions only, without gradient: q [1,N,H,d], k [B,P,K,d],
// v [B,P,K,dv]; row r of sequence b sees its keys first_key[r] … position[r]. first_key [N] int32,
// undefined for 0. Result [1,N,H,dv].
at::Tensor attention_of_rows(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             const PackedRows& rows, const at::Tensor& first_key = {});
at::Tensor attention_of_rows_reference(const at::Tensor& q, const at::Tensor& k,
                                       const at::Tensor& v, const PackedRows& rows,
                                       const at::Tensor& first_key = {});

// Attention in MLA's latent space, where a token's key serves all heads and its first `rank`
// numbers are its value (DeepSeek-V2, section 2.1.2), without gradient: query [B,H,S,w] with kv_up
// folded in, latents [B,P,w] of one type. Query s sees keys 0 … position[s]; position [S] int32 is
// undefined if the S tokens are the last of the P. Scores and softmax are fp32. Result
// [B,H,S,rank].
at::Tensor latent_attention(const at::Tensor& query, const at::Tensor& latents, int64_t rank,
                            double scale, const at::Tensor& position = {});

// While an object of this class lives, LibTorch does not use cuDNN's attention in the whole
// process: that makes a plan, in a tenth of a second or more, for every new number of keys.
class WithoutCudnnAttention {
 public:
  WithoutCudnnAttention();
  ~WithoutCudnnAttention();
  WithoutCudnnAttention(const WithoutCudnnAttention&) = delete;
  WithoutCudnnAttention& operator=(const WithoutCudnnAttention&) = delete;

 private:
  bool before_;
};

}  // namespace mythos
