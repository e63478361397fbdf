#pragma once

namespace mythos::cpu {

// Whether this CPU multiplies pairs of bf16 (AVX512-BF16).
bool has_bf16_products();
// Whether this CPU multiplies tiles of bf16 (AMX), of which libraries make more than products of
// pairs do when rows are many.
bool has_amx();

}  // namespace mythos::cpu
