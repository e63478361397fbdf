#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "arch/plan.h"
#include "config/config.h"

namespace mythos {

// What `mythos plan` is asked beyond the configuration; 0 and empty mean the configuration's own.
struct PlanOptions {
  int64_t loops = 0;
  std::vector<int64_t> contexts;  // tokens; empty: 1/64, 1/16, 1/4 and all of max_seq_len
  int64_t batch_size = 0;         // sequences of a micro-batch
  int64_t seq_len = 0;            // tokens of a training sequence
};

// Everything that is printed about one configuration.
struct PlanReport {
  std::string name;
  ModelConfig model;
  Plan plan;
  int64_t batch_size = 0, seq_len = 0;
  double training_flops = 0;  // of a token
  // What is said of bf16 holds for fp16 as well.
  int64_t weights_fp32_bytes = 0, weights_bf16_bytes = 0;
  int64_t gradients_bytes = 0;                                     // fp32, of trained parameters
  int64_t optimizer_bytes = 0;                                     // fp32
  int64_t activations_fp32_bytes = 0, activations_bf16_bytes = 0;  // of one micro-batch, estimated
  int64_t update_bytes = 0;  // fp32, of Muon's update (muon_update.h)
  // What training holds at its peak; in bf16 with the matrices in both types.
  int64_t training_fp32_bytes = 0, training_bf16_bytes = 0;
  std::vector<int64_t> contexts;

  // Keys and values of one sequence in bf16.
  int64_t cache_bf16_bytes(int64_t context_tokens) const;
  int64_t macs_per_token() const;
};

// Fails (usage) when a context or the training sequence is longer than max_seq_len.
PlanReport make_plan_report(const std::string& name, const Config& config,
                            const PlanOptions& options);

nlohmann::json to_json(const PlanReport& report);
// For people: one report as paragraphs, several as one table.
std::string plan_text(const PlanReport& report);
std::string plan_table(const std::vector<PlanReport>& reports);

}  // namespace mythos
