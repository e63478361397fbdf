#pragma once

namespace mythos::cpu {

// Whether this CPU multiplies pairs of bf16 (AVX512-BF16).
bool has_bf16_products();
// Whether this CPU multiplies tiles of bf16 (AMX), with which libraries are faster than products of
// pairs if rows are many.
bool has_amx();

}  // namespace mythos::cpu
