#pragma once
#include <cstdint>
#include <string_view>

namespace mythos {

// How long a run is, as train.length says: "500" steps; "10Gt", "3Mt", "5000t" tokens; "5e" epochs;
// "1e18f" FLOPs. k, M, G, T, P and E before t or f multiply by 1000 each.
struct RunLength {
  enum class Unit { steps, tokens, epochs, flops };
  Unit unit = Unit::steps;
  double count = 0;  // above 0, finite
};

// Fails (usage), naming train.length, if the text is no length.
RunLength parse_run_length(std::string_view text);

// What a unit of length is worth in a run.
struct LengthUnits {
  double tokens_per_step = 1;
  double tokens_per_epoch = 0;
  double flops_per_token = 0;
};
// The steps of a run of that length: the fewest that reach it. Fails (usage), naming train.length,
// if they are none or more than 2^50.
int64_t steps_of(std::string_view length, const LengthUnits& units);

}  // namespace mythos
