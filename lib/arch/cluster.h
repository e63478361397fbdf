#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "arch/rank_memory.h"
#include "config/config.h"

// What a training run takes on many GPUs, before they are bought: `mythos plan --gpus`.
namespace mythos {

// A kind of GPU. Peaks are those of the vendor's data sheets: bf16 with fp32 sums, without
// sparsity; `link` is one direction of what joins the GPUs of a node.
struct Gpu {
  const char* name;
  double memory_bytes, flops, link_bytes_per_second, watts;
};
// The kinds that are known. Fails (usage), naming them, on any other name.
const std::vector<Gpu>& gpus();
const Gpu& gpu_named(const std::string& name);

struct ClusterOptions {
  int64_t gpus = 1;
  std::string gpu = "h100-80g";
  int64_t gpus_per_node = 8;
  // The share of the peak that the passes of one GPU reach, and what a GPU's part of the network
  // between nodes carries in one direction.
  double efficiency = 0.4, network_bytes_per_second = 50e9;
  int64_t loops = 0, seq_len = 0;  // 0: the configuration's
};

// One layout (train.layout) on one cluster: what the rank that has most holds at its peak, and how
// long a step takes.
struct LayoutPlan {
  Layout layout = Layout::replicated;
  int64_t sequences = 0;    // of a rank in a step
  int64_t micro_batch = 0;  // sequences
  RankMemory memory;        // computing in bf16
  int64_t total = 0;        // of memory
  bool fits = false;
  StepVolume volume;
  double compute_seconds = 0, network_seconds = 0, step_seconds = 0;
  double tokens_per_day = 0, kwh_per_day = 0;
};

struct ClusterPlan {
  ClusterOptions options;
  Gpu gpu{};
  std::vector<LayoutPlan> layouts;
  int64_t expert_ranks = 1;  // train.expert_ranks
};

// Fails (usage) unless the GPUs divide the sequences of a step, train.batch_size·grad_accum, and
// train.expert_ranks divides the GPUs.
ClusterPlan make_cluster_plan(const Config& config, const ClusterOptions& options);
nlohmann::json to_json(const ClusterPlan& plan);
std::string cluster_text(const ClusterPlan& plan);

}  // namespace mythos
