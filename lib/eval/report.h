#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/decode_config.h"
#include "eval/likelihood.h"

namespace mythos {

// Everything that `mythos eval` reports about a checkpoint on a split.
struct EvalReport {
  std::string checkpoint, data, split, device, compute_type;
  int64_t step = 0;
  int64_t seq_len = 0;
  Packing packing = Packing::contiguous;
  std::optional<DecodeConfig> decode;  // set if the likelihood was computed as text is generated
  int64_t weight_bytes = 0;            // size of the decoder's weights
  std::vector<Likelihood> loops;       // one for each loop count that was asked for
  int64_t stride = 0;                  // of the windows of `sliding`
  std::vector<Likelihood> sliding;  // with windows that overlap: one for each of `loops`, or empty
  std::optional<Likelihood> unigram;    // the train split's unigram distribution
  std::optional<Likelihood> untrained;  // the same configuration with fresh weights

  // The index in `loops` of the row with the fewest bits per byte; of equal rows that with fewer
  // loops. Nothing if no row's likelihood is finite.
  std::optional<size_t> best() const;
  // Names the rows whose likelihood is not finite: "1, 4 loops and of the untrained model"; "" for
  // none.
  std::string nonfinite_rows() const;
};

// The report as an object of schema "mythos.eval/1" (mythos-eval(1)).
nlohmann::ordered_json to_json(const EvalReport& report);
// The line above the table: what was measured on how many tokens.
std::string eval_heading(const EvalReport& report);
// The report as a table for people, with the best row marked.
std::string eval_table(const EvalReport& report);

}  // namespace mythos
