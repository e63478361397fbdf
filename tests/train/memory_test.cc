#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "arch/plan_report.h"
#include "base/rng.h"
#include "base/strings.h"
#include "device/tensor_memory.h"
#include "train/optimizer.h"
#include "train/step.h"

namespace mythos {
namespace {

std::vector<Batch> random_batches(const Config& config) {
  const TrainConfig& train = config.train;
  std::vector<Batch> batches;
  Rng rng(7);
  for (int64_t i = 0; i < train.grad_accum; ++i) {
    Batch& batch = batches.emplace_back();
    batch.batch_size = train.batch_size;
    batch.seq_len = train.seq_len;
    for (int64_t place = 0; place < train.batch_size * train.seq_len; ++place) {
      batch.inputs.push_back(
          static_cast<int64_t>(rng.below(static_cast<uint64_t>(config.model.vocab_size))));
      batch.targets.push_back(
          static_cast<int64_t>(rng.below(static_cast<uint64_t>(config.model.vocab_size))));
    }
  }
  return batches;
}

// The most that the tensors of a model, its optimizer and a step hold.
int64_t measured_bytes(const Config& config, int64_t loops, at::ScalarType type) {
  count_tensor_memory();
  at::set_num_threads(1);
  const int64_t before = tensor_bytes();
  Parameters parameters(config.model, at::kCPU);
  parameters.initialize(config.model, 1);
  GroupedOptimizer optimizer(parameters, config.train);
  const std::vector<Batch> batches = random_batches(config);
  take_most_tensor_bytes();
  forward_backward(config, parameters, batches, config.train.tokens_per_step(), loops, type);
  optimizer.step(1);
  return take_most_tensor_bytes() - before;
}

struct Case {
  std::string name;
  void (*change)(Config&);
};
std::ostream& operator<<(std::ostream& out, const Case& one) {
  return out << one.name;
}

// Weights are small beside activations.
Config small_config() {
  Config config;
  config.model.vocab_size = 300;
  config.model.dim = 48;
  config.model.n_heads = 3;
  config.model.n_kv_heads = 1;
  config.model.kv_lora_rank = 16;
  config.model.q_lora_rank = 24;
  config.model.qk_rope_head_dim = 8;
  config.model.qk_nope_head_dim = config.model.v_head_dim = 16;
  config.model.n_experts = 4;
  config.model.expert_dim = 40;
  config.model.lora_rank = 4;
  config.train.batch_size = 6;
  config.train.seq_len = 64;
  config.train.balance_rate = 1e-3;
  return config;
}

class StepMemory : public testing::TestWithParam<Case> {};

TEST_P(StepMemory, IsWithinAnEighthOfThePlan) {
  for (const Recompute recompute : {Recompute::none, Recompute::loop, Recompute::block}) {
    for (const int64_t loops : {1, 2, 4, 12}) {
      Config config = small_config();
      GetParam().change(config);
      // A CPU leaves out the loops behind the one in which all positions have halted.
      if (config.model.halting != Halting::none && loops > 4) continue;
      config.train.recompute = recompute;
      PlanOptions options;
      options.loops = loops;
      const PlanReport plan = make_plan_report("", config, options);
      const std::string what =
          strprintf("%s, %d loops", enum_name(recompute), static_cast<int>(loops));
      const auto ratio = [&](int64_t planned, at::ScalarType type) {
        return static_cast<double>(planned) /
               static_cast<double>(measured_bytes(config, loops, type));
      };
      const double fp32 = ratio(plan.training_fp32_bytes, at::kFloat);
      const double bf16 = ratio(plan.training_bf16_bytes, at::kBFloat16);
      EXPECT_NEAR(fp32, 1, 0.125) << what;
      EXPECT_NEAR(bf16, 1, 0.125) << what;
    }
  }
}

void plain(Config& config) {
  config.model.injection = Injection::none;
  config.model.loop_embedding = LoopEmbedding::none;
  config.model.prelude_norm = false;
  config.model.lora_rank = 0;
}

INSTANTIATE_TEST_SUITE_P(
    Mechanisms, StepMemory,
    testing::Values(Case{"defaults", [](Config&) {}},
                    Case{"gqa", [](Config& c) { c.model.attention = Attention::gqa; }},
                    Case{"qk_norm_dense",
                         [](Config& c) {
                           c.model.attention = Attention::gqa, c.model.qk_norm = true;
                           c.model.ffn = FeedForward::dense;
                         }},
                    Case{"biases_and_values",
                         [](Config& c) {
                           c.model.attention = Attention::gqa, c.model.ffn = FeedForward::dense;
                           c.model.attention_bias = AttentionBias::qkv;
                           c.model.core_kv_heads = 3, c.model.head_width = 24;
                           c.model.value_embeddings = "0,1,2";
                         }},
                    Case{"sandwich",
                         [](Config& c) {
                           c.model.norm_placement = NormPlacement::sandwich;
                           c.model.ffn = FeedForward::dense;
                         }},
                    Case{"norms_of_sums",
                         [](Config& c) {
                           c.model.norm_placement = NormPlacement::residual;
                           c.model.ffn = FeedForward::dense;
                           c.model.final_norm = FinalNorm::twice;
                           c.model.injection = Injection::linear, c.model.injection_norm = false;
                         }},
                    Case{"relu2_readout",
                         [](Config& c) {
                           c.model.activation = Activation::relu2, c.model.readout = true;
                           c.model.ffn = FeedForward::dense, c.model.core_ffn_dim = 640;
                           c.model.logit_softcap = 30;
                         }},
                    Case{"norm_in_the_loop",
                         [](Config& c) {
                           plain(c);
                           c.model.ffn = FeedForward::dense, c.model.core_layers = 3;
                           c.model.prelude_layers = c.model.coda_layers = 0;
                           c.model.final_norm = FinalNorm::loop;
                         }},
                    Case{"zoh_dense",
                         [](Config& c) {
                           c.model.injection = Injection::zoh;
                           c.model.initial_state = InitialState::zero;
                           c.model.ffn = FeedForward::dense, c.model.lora_rank = 0;
                         }},
                    Case{"linear_two_layers",
                         [](Config& c) {
                           c.model.injection = Injection::linear, c.model.core_layers = 2;
                           c.model.ffn = FeedForward::dense;
                         }},
                    Case{"gated", [](Config& c) { c.model.injection = Injection::gated; }},
                    Case{"add", [](Config& c) { c.model.injection = Injection::add; }},
                    Case{"plain",
                         [](Config& c) {
                           plain(c);
                           c.model.ffn = FeedForward::dense, c.model.prelude_layers = 3;
                         }},
                    Case{"truncated", [](Config& c) { c.train.backprop_loops = 3; }},
                    Case{"random_state",
                         [](Config& c) {
                           c.model.injection = Injection::linear;
                           c.model.initial_state = InitialState::random;
                         }},
                    Case{"act", [](Config& c) { c.model.halting = Halting::act; }},
                    Case{"per_loop", [](Config& c) { c.objectives.per_loop = 1; }},
                    Case{"jacobian", [](Config& c) { c.objectives.jacobian = 1; }},
                    Case{"jacobian_per_loop_truncated",
                         [](Config& c) {
                           c.objectives.jacobian = c.objectives.per_loop = 1;
                           c.train.backprop_loops = 3, c.model.core_layers = 2;
                           c.model.ffn = FeedForward::dense;
                         }},
                    Case{"gate",
                         [](Config& c) {
                           c.model.halting = Halting::gate;
                           c.objectives.gate = 1;
                         }},
                    Case{"untied_large_vocabulary",
                         [](Config& c) { c.model.tied_head = false, c.model.vocab_size = 12000; }},
                    Case{"accumulating", [](Config& c) { c.train.grad_accum = 2; }}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace mythos
