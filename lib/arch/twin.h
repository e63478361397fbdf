#pragma once
#include <cstdint>

#include "config/config.h"

namespace mythos {

enum class MatchBy { parameters, flops };
template <>
struct EnumNames<MatchBy> {
  static constexpr std::array<std::string_view, 2> names = {"parameters", "flops"};
};

// A plain transformer as large or as expensive as a looped one.
struct Twin {
  Config config;
  MatchBy by = MatchBy::parameters;
  int64_t wanted = 0, reached = 0;  // parameters, or multiply-accumulates of a token

  double deviation() const;  // (reached − wanted) / wanted
};

// The plain twin of a looped model: every layer once, no injection, no marks of loops, no halting,
// dense feed-forwards; width, attention, vocabulary and training as they are. Its number of layers
// and ffn_dim are chosen so that its parameters, or the multiply-accumulates of a token's forward
// pass (against those of `looped` at `loops`, 0 for its max_loop_iters, over a mean context of
// context_tokens/2), come as near as whole numbers allow; of all such pairs it is the one whose
// ffn_dim is nearest to the looped model's dense one. ffn_dim is a multiple of 8 where that is
// within half a percent. Objectives are left at their defaults. Fails (usage) if no layers are
// large enough.
Twin plain_twin(const Config& looped, MatchBy by, int64_t loops, int64_t context_tokens);

}  // namespace mythos
