#pragma once
#include "config/field.h"

namespace mythos {

// The ways in which documents become training sequences.
// contiguous: the split's one stream cut into windows of S+1 tokens that overlap by one, so every
//   token but the first is a target exactly once per epoch.
// best_fit: documents that fit are kept whole and put together by best fit (Ding et al. 2024,
//   "Fewer truncations improve language modeling"); longer ones are cut into windows that overlap
//   by one. Every token of a document but its first is a target exactly once per epoch, and nothing
//   is learned across a boundary.
enum class Packing { contiguous, best_fit };

template <>
struct EnumNames<Packing> {
  static constexpr std::array<std::string_view, 2> names = {"contiguous", "best-fit"};
};

}  // namespace mythos
