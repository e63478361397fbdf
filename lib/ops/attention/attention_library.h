#pragma once
#include <functional>

#include "ops/attention/attention.h"

// Attention by LibTorch's operators, for devices that this project has no kernel for. Shapes are
// those of attention.h.
namespace mythos {

// The operators that compute attention. LibTorch's "math" form, which keeps fp32 scores [B,H,S,P]
// for the backward pass, takes whatever its other forms refuse; the operands for these forms are
// such that one without scores takes them, even if cuDNN's is off or refused (--deterministic).
enum class AttentionForm {
  plain,   // scaled_dot_product_attention without a mask, causal or of one query
  flash,   // flash attention itself: its causal mask is aligned at the last query and the last key,
           // which scaled_dot_product_attention offers only where there are as many of both
  masked,  // scaled_dot_product_attention with a mask
};
// How the heads of a group, which share a key head, are given to the operator.
enum class GroupedHeads {
  kept,        // as they are: the operator knows groups, or there are none
  as_queries,  // as further queries of one head
  repeated,    // each with a copy of its keys and values
};

struct AttentionShape {
  int64_t queries = 0, keys = 0, heads = 0, key_heads = 0, width = 0, value_width = 0;
  at::ScalarType type = at::kFloat;
  bool hides = false;  // a query does not see some earlier keys, so a mask is needed
  bool flash = false;  // the device has flash attention
};
struct AttentionPlan {
  AttentionForm form;
  GroupedHeads groups;
  int64_t width, value_width;  // to which zeros widen q and k, and v
};
AttentionPlan attention_plan(const AttentionShape& shape);

at::Tensor library_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             const at::Tensor& first_key);
at::Tensor library_attention_of_rows(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                     const PackedRows& rows, const at::Tensor& first_key);

// Whether each query sees each of P keys, [S,P] or with first_key [B,1,S,P] bool.
at::Tensor visible_keys(const at::Tensor& q, int64_t keys, const at::Tensor& first_key);
// Calls attend(q [1,n,H,d], k [1,P,K,d], v [1,P,K,dv], seen [n,P] bool) for each sequence that has
// rows, and joins the results.
using AttendToSome = std::function<at::Tensor(const at::Tensor& q, const at::Tensor& k,
                                              const at::Tensor& v, const at::Tensor& seen)>;
at::Tensor attend_by_sequence(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const PackedRows& rows, const at::Tensor& first_key,
                              const AttendToSome& attend);

}  // namespace mythos
