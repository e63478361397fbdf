#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/decode_config.h"
#include "eval/likelihood.h"

namespace mythos {

// Everything that `mythos eval` says about one checkpoint on one split.
struct EvalReport {
  std::string checkpoint, data, split, device, compute_type;
  int64_t step = 0;
  int64_t seq_len = 0;
  std::optional<DecodeConfig> decode;   // computed as text is generated
  int64_t weight_bytes = 0;             // of the decoder
  std::vector<Likelihood> loops;        // one for each loop count asked for
  int64_t stride = 0;                   // of `sliding`
  std::vector<Likelihood> sliding;      // with windows that overlap, for each of `loops`, or none
  std::optional<Likelihood> unigram;    // the train split's unigram distribution
  std::optional<Likelihood> untrained;  // the same configuration with fresh weights

  // Index in `loops` of the fewest bits per byte, the fewer loops of equals; nothing where no row's
  // likelihood is finite.
  std::optional<size_t> best() const;
  // The rows whose likelihood is not finite: "1, 4 loops and of the untrained model"; "" for none.
  std::string nonfinite_rows() const;
};

// One object, schema "mythos.eval/1" (mythos-eval(1)).
nlohmann::ordered_json to_json(const EvalReport& report);
// The line above the table: what was measured on how many tokens.
std::string eval_heading(const EvalReport& report);
// A table for people, one row a line, the best marked.
std::string eval_table(const EvalReport& report);

}  // namespace mythos
