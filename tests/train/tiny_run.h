#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/strings.h"
#include "config/config.h"
#include "train/trainer.h"

namespace mythos {

// A run of 12 steps that takes a fraction of a second, of a model with all that nano has.
inline Config tiny_run() {
  Config config;
  config.model.dim = 32;
  config.model.max_seq_len = 64;
  config.model.max_loop_iters = 2;
  config.model.n_heads = 2;
  config.model.kv_lora_rank = config.model.q_lora_rank = 16;
  config.model.qk_rope_head_dim = 4;
  config.model.qk_nope_head_dim = config.model.v_head_dim = 8;
  config.model.n_experts = 4;
  config.model.expert_dim = 16;
  config.model.lora_rank = 2;
  config.train.steps = 12;
  config.train.batch_size = 2;
  config.train.seq_len = 16;
  config.train.warmup_steps = 2;
  config.train.log_every = 4;
  config.train.val_every = 5;
  config.train.val_tokens = 64;
  config.train.save_every = 6;
  config.train.keep_last = 0;
  return config;
}

// That run on the shards DIRECTORY/shards, with the assignments: a step takes two micro-batches of
// four sequences, in fp32, so that ranks can share it and their results compare.
inline TrainOptions shared_run(const fs::path& directory, const std::string& run,
                               const std::vector<std::string>& assignments) {
  TrainOptions options;
  options.config = tiny_run();
  options.assignments = {"train.grad_accum=2", "train.batch_size=4", "train.compute_type=fp32"};
  options.assignments.insert(options.assignments.end(), assignments.begin(), assignments.end());
  options.data = {{directory / "shards", std::nullopt}};
  options.run = directory / run;
  options.device = "cpu";
  return options;
}

// The lines of metrics.jsonl.
inline std::vector<nlohmann::json> metrics_lines(const fs::path& metrics) {
  std::vector<nlohmann::json> lines;
  for (const std::string& line : split(read_file(metrics), '\n')) {
    if (!line.empty()) lines.push_back(nlohmann::json::parse(line));
  }
  return lines;
}

// The lines without what a clock has measured.
inline std::vector<nlohmann::json> untimed_lines(const fs::path& metrics) {
  std::vector<nlohmann::json> lines = metrics_lines(metrics);
  for (nlohmann::json& line : lines) {
    for (const char* key : {"seconds", "tokens_per_second", "data_wait", "mfu"}) line.erase(key);
  }
  return lines;
}

}  // namespace mythos
