#include "config/run_length.h"

#include <cmath>
#include <string>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

[[noreturn]] void fail_length(std::string_view text, const std::string& what) {
  fail(ErrorKind::usage, strprintf("train.length = \"%s\": %s", shown(text), what));
}

}  // namespace

RunLength parse_run_length(std::string_view text) {
  RunLength length;
  std::string_view number = trim(text);
  const char unit = number.empty() ? '\0' : number.back();
  if (unit == 't') length.unit = RunLength::Unit::tokens;
  if (unit == 'e') length.unit = RunLength::Unit::epochs;
  if (unit == 'f') length.unit = RunLength::Unit::flops;
  const bool prefixed = unit == 't' || unit == 'f';
  if (length.unit != RunLength::Unit::steps) number.remove_suffix(1);
  double factor = 1;
  constexpr std::string_view kPrefixes = "kMGTPE";
  if (prefixed && !number.empty() && kPrefixes.find(number.back()) != kPrefixes.npos) {
    factor = std::pow(1000.0, static_cast<double>(kPrefixes.find(number.back()) + 1));
    number.remove_suffix(1);
  }
  const auto count = parse_double(number);
  const bool whole_steps =
      length.unit != RunLength::Unit::steps || (count && std::floor(*count) == *count);
  if (!count || !std::isfinite(*count) || !std::isfinite(*count * factor) || !whole_steps) {
    fail_length(text,
                "expected a whole number of steps (500), or a number of tokens (10Gt, 3Mt, 5000t), "
                "epochs (5e, 0.5e) or FLOPs (1e18f)");
  }
  if (*count <= 0) fail_length(text, "expected more than 0");
  length.count = *count * factor;
  return length;
}

int64_t steps_of(std::string_view text, const LengthUnits& units) {
  const RunLength length = parse_run_length(text);
  double steps = length.count;
  switch (length.unit) {
    case RunLength::Unit::steps:
      break;
    case RunLength::Unit::tokens:
      steps /= units.tokens_per_step;
      break;
    case RunLength::Unit::epochs:
      steps *= units.tokens_per_epoch / units.tokens_per_step;
      break;
    case RunLength::Unit::flops:
      steps /= units.flops_per_token * units.tokens_per_step;
      break;
  }
  // A share of a step in 1e9 is rounding.
  steps = std::ceil(steps * (1 - 1e-9));
  if (steps < 1) {
    fail_length(text, length.unit == RunLength::Unit::epochs
                          ? "no step, as the data has no tokens to train on"
                          : "no step");
  }
  if (steps > 0x1p50) {
    fail_length(text, strprintf("is %.3g steps; at most 2^50 are possible", steps));
  }
  return static_cast<int64_t>(steps);
}

}  // namespace mythos
