#include "arch/plan.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../scratch.h"
#include "arch/muon_update.h"
#include "arch/plan_report.h"
#include "arch/rank_memory.h"
#include "arch/tensors.h"

namespace mythos {
namespace {

struct Total {
  const char* preset;
  int64_t parameters;
};

std::ostream& operator<<(std::ostream& out, const Total& total) {
  return out << total.preset;
}

class ReferenceTotal : public testing::TestWithParam<Total> {};

TEST_P(ReferenceTotal, IsExact) {
  const ModelConfig model = load_preset(GetParam().preset).model;
  const Plan plan = make_plan(model, 0, 0);
  EXPECT_EQ(plan.parameters, GetParam().parameters);
  EXPECT_EQ(plan.buffers, model.n_experts);
  int64_t sum = 0;
  for (const PartCount& part : plan.parts) sum += part.parameters;
  EXPECT_EQ(sum, plan.parameters);
}

INSTANTIATE_TEST_SUITE_P(Presets, ReferenceTotal,
                         testing::Values(Total{"openmythos-1b", 1'064'028'034},
                                         Total{"openmythos-3b", 3'041'725'186},
                                         Total{"openmythos-10b", 9'981'316'994},
                                         Total{"openmythos-50b", 50'374'247'426},
                                         Total{"openmythos-100b", 99'545'072'130},
                                         Total{"openmythos-500b", 497'849'137'154},
                                         Total{"openmythos-1t", 999'326'352'386}));

// A model small enough to count by hand: D=8, V=10, one dense GQA layer of each kind, F=10.
ModelConfig by_hand() {
  ModelConfig c;
  c.vocab_size = 10;
  c.dim = 8;
  c.max_loop_iters = 3;
  c.attention = Attention::gqa;
  c.n_heads = 2;
  c.n_kv_heads = 1;
  c.ffn = FeedForward::dense;
  c.ffn_dim = 10;
  c.injection = Injection::none;
  c.prelude_norm = false;
  c.loop_embedding = LoopEmbedding::none;
  c.lora_rank = 0;
  return c;
}

TEST(Plan, DenseModelByHand) {
  const Plan plan = make_plan(by_hand(), 0, 100);
  const int64_t attention = (2 + 2 * 1) * 4 * 8 + 8 * 8;  // qkv and wo
  const int64_t feed_forward = 3 * 10 * 8;
  const int64_t layer = attention + feed_forward;
  EXPECT_EQ(plan.parameters, 10 * 8 + 3 * (layer + 2 * 8) + 8);
  EXPECT_EQ(plan.active_parameters, plan.parameters);
  EXPECT_EQ(plan.buffers, 0);
  EXPECT_EQ(plan.loops, 3);
  // Prelude and coda once, core three times, the head once; the embedding is a look-up.
  EXPECT_EQ(plan.matrix_macs_per_token, (1 + 3 + 1) * layer + 10 * 8);
  // Scores and values of two heads of 4 channels over a mean of 50 tokens, five layer passes.
  EXPECT_EQ(plan.attention_macs_per_token, 5 * 2 * (4 + 4) * 50);
}

TEST(Plan, LoopsMultiplyOnlyTheCore) {
  const ModelConfig c = by_hand();
  const int64_t one = make_plan(c, 1, 0).matrix_macs_per_token;
  const int64_t two = make_plan(c, 2, 0).matrix_macs_per_token;
  const int64_t nine = make_plan(c, 9, 0).matrix_macs_per_token;
  EXPECT_GT(two, one);
  EXPECT_EQ(nine - one, 8 * (two - one));
  EXPECT_EQ(make_plan(c, 9, 0).parameters, make_plan(c, 1, 0).parameters);
}

TEST(Plan, UntiedHeadIsCountedAndTheEmbeddingIsOneRow) {
  ModelConfig c = by_hand();
  const Plan tied = make_plan(c, 1, 0);
  c.tied_head = false;
  const Plan untied = make_plan(c, 1, 0);
  EXPECT_EQ(untied.parameters - tied.parameters, 10 * 8);
  EXPECT_EQ(untied.active_parameters - tied.active_parameters, 8);
  EXPECT_EQ(untied.matrix_macs_per_token, tied.matrix_macs_per_token);
}

TEST(Plan, ATokenUsesItsExpertsOnly) {
  ModelConfig c = by_hand();
  c.ffn = FeedForward::moe;
  c.n_experts = 6;
  c.n_experts_per_tok = 2;
  c.expert_dim = 7;
  const Plan plan = make_plan(c, 1, 0);
  EXPECT_EQ(plan.parameters - plan.active_parameters, 4 * 3 * 7 * 8);
  EXPECT_EQ(plan.buffers, 6);
}

TEST(Plan, CacheHoldsOneSlotForEachLayerPass) {
  ModelConfig c = by_hand();
  EXPECT_EQ(cache_bytes(c, 3, 100, 2), (1 + 3 + 1) * (2 * 1 * 4) * 100 * 2);
  c.core_layers = 2;
  EXPECT_EQ(cache_bytes(c, 3, 100, 2), (1 + 6 + 1) * (2 * 1 * 4) * 100 * 2);
  c.attention = Attention::mla;
  c.kv_lora_rank = 6;
  c.qk_rope_head_dim = 4;
  EXPECT_EQ(cache_bytes(c, 1, 10, 4), (1 + 2 + 1) * (6 + 4) * 10 * 4);
}

TEST(Plan, SlotBytesByHand) {
  ModelConfig c = by_hand();
  SlotBytes slot = slot_bytes(c);
  EXPECT_EQ(slot.bf16, 2 * (2 * 1 * 4));
  EXPECT_EQ(slot.int8, 2 * 1 * 4 + 4 * 2);  // a scale for the key head, one for the value head
  EXPECT_EQ(slot.mha_bf16, 2 * 2 * 8);
  EXPECT_EQ(slot.gqa_bf16, slot.bf16);
  EXPECT_EQ(cache_slots(c, 3), 1 + 3 + 1);
  c.attention = Attention::mla;
  c.kv_lora_rank = 6;
  c.qk_rope_head_dim = 4;
  c.core_layers = 2;
  slot = slot_bytes(c);
  EXPECT_EQ(slot.bf16, 2 * (6 + 4));
  EXPECT_EQ(slot.int8, 6 + 4 + 4 * 2);  // a scale for the latent, one for the rotated key
  EXPECT_EQ(slot.mha_bf16, 2 * 2 * 8);
  EXPECT_EQ(slot.gqa_bf16, 2 * 8);
  EXPECT_EQ(cache_slots(c, 3), 1 + 6 + 1);
  EXPECT_EQ(cache_bytes(c, 3, 7, 2), 7 * cache_slots(c, 3) * slot.bf16);
}

// A core with key heads of its own, heads wider than dim/n_heads, and a table of which a token
// reads one row in each loop.
TEST(Plan, SectionsHaveTheirOwnKeyHeads) {
  ModelConfig c = by_hand();
  const Plan before = make_plan(c, 3, 100);
  c.core_kv_heads = 2;
  EXPECT_EQ(slot_bytes(c, Section::core).bf16, 2 * slot_bytes(c, Section::prelude).bf16);
  EXPECT_EQ(cache_bytes(c, 3, 100, 2), (1 + 3 * 2 + 1) * (2 * 1 * 4) * 100 * 2);
  EXPECT_EQ(token_bytes(c, 3).bf16, (1 + 3 * 2 + 1) * (2 * 1 * 4) * 2);
  EXPECT_EQ(make_plan(c, 3, 100).parameters - before.parameters, 2 * 4 * 8);
  c.core_kv_heads = 0;
  c.head_width = 6;
  EXPECT_EQ(slot_bytes(c).bf16, 2 * (2 * 1 * 6));
  EXPECT_EQ(slot_bytes(c).mha_bf16, 2 * 2 * 2 * 6);
  EXPECT_EQ(make_plan(c, 3, 100).attention_macs_per_token, before.attention_macs_per_token * 6 / 4);
  c.head_width = 0;
  c.value_embeddings = "1";
  const Plan with = make_plan(c, 3, 100);
  const int64_t gate = 1 * 8, row = 1 * 4;
  EXPECT_EQ(with.parameters - before.parameters, c.vocab_size * row + gate);
  EXPECT_EQ(with.active_parameters - before.active_parameters, row + gate);
  EXPECT_EQ(with.matrix_macs_per_token - before.matrix_macs_per_token, 3 * gate);
}

// What MLA is for: 14 to 30 times less than multi-head attention.
TEST(Plan, LatentsOfLargePresetsAreFarBelowMultiHead) {
  for (const std::string size : {"1b", "3b", "10b", "50b", "100b", "500b", "1t"}) {
    const SlotBytes slot = slot_bytes(load_preset("mythos-" + size).model);
    EXPECT_GE(static_cast<double>(slot.mha_bf16) / static_cast<double>(slot.bf16), 14) << size;
    EXPECT_GT(slot.gqa_bf16, slot.bf16) << size;
    EXPECT_LT(static_cast<double>(slot.int8), 0.52 * static_cast<double>(slot.bf16)) << size;
  }
}

TEST(Plan, Bf16HalvesMatricesOnly) {
  const ModelConfig c = by_hand();
  int64_t matrices = 0, others = 0;
  for (const TensorDeclaration& spec : declared_tensors(c)) {
    (is_cast(spec.use) ? matrices : others) += spec.numel();
  }
  EXPECT_GT(others, 0);
  EXPECT_EQ(weight_bytes(c, false), 4 * (matrices + others));
  EXPECT_EQ(weight_bytes(c, true), 2 * matrices + 4 * others);
}

TEST(Plan, ActivationsGrowWithTheBatchAndTheLoops) {
  const ModelConfig c = load_preset("nano").model;
  const auto bytes = [&](int64_t loops, int64_t batch_size, int64_t seq_len, int64_t number) {
    return activation_bytes(c, {loops, batch_size, seq_len, number});
  };
  const int64_t once = bytes(4, 64, 64, 4), less = bytes(4, 56, 64, 4), more = bytes(4, 72, 64, 4);
  EXPECT_EQ(less - bytes(4, 48, 64, 4), once - less);
  EXPECT_EQ(bytes(4, 32, 128, 4), once);
  // No more than a block of logits is formed: 4096 positions of this vocabulary.
  EXPECT_EQ((once - less) - (more - once), 8 * 64 * (c.vocab_size + c.dim) * 4);
  EXPECT_GT(bytes(8, 64, 64, 4), once);
  EXPECT_LT(bytes(4, 64, 64, 2), once);
}

TEST(Plan, LoopsWithoutGradientsCostTheirForwardPass) {
  Config config = load_preset("nano");
  const auto macs = [&](int64_t loops) {
    const Plan plan = make_plan(config.model, loops, 64);
    return static_cast<double>(plan.matrix_macs_per_token + plan.attention_macs_per_token);
  };
  EXPECT_DOUBLE_EQ(training_flops(config, 9, 64), 2 * macs(9) + 4 * macs(4));  // half of 8
  config.train.backprop_loops = 0;
  EXPECT_DOUBLE_EQ(training_flops(config, 9, 64), 6 * macs(9));
  config.train.backprop_loops = 2;
  EXPECT_DOUBLE_EQ(training_flops(config, 9, 64), 2 * macs(9) + 4 * macs(2));
  EXPECT_DOUBLE_EQ(training_flops(config, 1, 64), 6 * macs(1));
  EXPECT_EQ(recorded_loops(config, 9), 2);
  PlanOptions options;
  const auto activations = [&](int64_t loops) {
    options.loops = loops;
    return make_plan_report("", config, options).activations_fp32_bytes;
  };
  EXPECT_EQ(activations(9), activations(2));
  EXPECT_LT(activations(1), activations(2));
}

TEST(Plan, ObjectivesPayForWhatTheyCompute) {
  Config config;
  config.model = by_hand();
  config.train.backprop_loops = 0;
  const auto flops = [&](int64_t loops) { return training_flops(config, loops, 100); };
  const double layer = (2 + 2 * 1) * 4 * 8 + 8 * 8 + 3 * 10 * 8 + 2 * (4 + 4) * 50;
  const double output = layer + 10 * 8;
  const double plain = flops(3);
  config.objectives.jacobian = 1;
  EXPECT_DOUBLE_EQ(flops(3), plain + 6 * layer);
  config.objectives.jacobian = 0;
  config.objectives.per_loop = 1;
  EXPECT_DOUBLE_EQ(flops(3), plain + 2 * 6 * output);
  EXPECT_DOUBLE_EQ(flops(1), 6 * (layer * 3 + 10 * 8));
  config.train.backprop_loops = 2;
  EXPECT_DOUBLE_EQ(flops(3), plain - 4 * layer + (2 * 2 + 1 * 4) * output);
  config.train.backprop_loops = 0;
  config.objectives.per_loop = 0;
  config.model.halting = Halting::gate;
  const double gated = flops(3);
  config.objectives.gate_gain = 1;  // its gradient reaches the gate alone
  EXPECT_DOUBLE_EQ(flops(3), gated + 2 * 2 * output);
}

TEST(Plan, OneRankHoldsWhatTrainingHolds) {
  const Config config = load_preset("nano");
  const PlanReport plan = make_plan_report("", config, {});
  const auto total = [&](int64_t ranks, int64_t bytes_per_number) {
    return rank_memory(config, ranks, rank_step_shape(config, ranks, 8, bytes_per_number)).total();
  };
  EXPECT_EQ(total(1, 4), plan.training_fp32_bytes);
  EXPECT_EQ(total(1, 2), plan.training_bf16_bytes);
  EXPECT_LT(total(2, 4), plan.training_fp32_bytes);
}

TEST(Plan, RecomputationKeepsAFewNumbersForEachLoop) {
  const ModelConfig c = load_preset("nano").model;
  const auto bytes = [&](int64_t loops, Recompute recompute) {
    return activation_bytes(c, {loops, 16, 64, 4, recompute});
  };
  const int64_t one_loop = bytes(2, Recompute::none) - bytes(1, Recompute::none);
  EXPECT_EQ(bytes(64, Recompute::loop) - bytes(63, Recompute::loop), 16 * 64 * c.dim * 4);
  EXPECT_LT(bytes(64, Recompute::loop), bytes(8, Recompute::none));
  EXPECT_LT(bytes(64, Recompute::block) - bytes(63, Recompute::block), one_loop / 2);
  EXPECT_GT(bytes(64, Recompute::block), bytes(64, Recompute::loop));
}

// Every number is within its key's range, and their products are not within 63 bits.
TEST(Plan, SizesBeyond63BitsAreRefused) {
  const std::string message = "2^63 or more, too large to compute with";
  const auto refusal = [&](Config config, const PlanOptions& options) {
    config.validate();
    return error_of(ErrorKind::usage, [&] { make_plan_report("", config, options); });
  };
  const Config nano = load_preset("nano");
  PlanOptions options;
  options.loops = options.batch_size = int64_t{1} << 40;
  EXPECT_TRUE(contains(refusal(nano, options), message));
  options = {};
  options.loops = int64_t{1} << 40;
  Config layers = nano;
  layers.model.core_layers = 4096, layers.model.n_experts_per_tok = 8;
  layers.model.expert_dim = 1 << 24;
  EXPECT_TRUE(contains(refusal(layers, options), message));
  Config experts = nano;
  experts.model.n_experts = experts.model.dim = 1 << 20;
  experts.model.expert_dim = 1 << 24;
  EXPECT_TRUE(contains(refusal(experts, {}), message));
  Config steps = nano;
  steps.train.steps = int64_t{1} << 50;
  steps.train.batch_size = 1 << 20;
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { steps.validate(); }),
                       "train.steps = 1125899906842624: with 2.684e+08 tokens each, which is 2^63 "
                       "tokens or more in all"));
}

TEST(PlanReport, JsonAndTextAgree) {
  const Config config = load_preset("nano");
  const PlanReport report = make_plan_report("nano", config, {});
  const nlohmann::json out = to_json(report);
  EXPECT_EQ(out["parameters"], report.plan.parameters);
  EXPECT_EQ(out["bytes"]["optimizer_fp32"], optimizer_bytes(config.model, config.train));
  EXPECT_EQ(out["bytes"]["update_fp32"], muon_update_bytes(config, 1));
  for (const std::string part : {"weights_", "activations_", "training_"}) {
    EXPECT_EQ(out["bytes"][part + "fp16"], out["bytes"][part + "bf16"]) << part;
    EXPECT_GT(out["bytes"][part + "fp32"], out["bytes"][part + "fp16"]) << part;
  }
  EXPECT_EQ(out["cache_bf16"].back()["context_tokens"], 1024);
  EXPECT_EQ(out["micro_batch"]["seq_len"], 256);
  const nlohmann::json& cache = out["cache_per_token"];
  EXPECT_EQ(cache["slots"], 1 + 8 + 1);
  EXPECT_EQ(cache["slots_shared"], 1 + 1 + 1);
  EXPECT_EQ(cache["slot_bytes"]["bf16"], 2 * (64 + 16));
  EXPECT_EQ(cache["bytes"]["int8"], 10 * (64 + 16 + 8));
  EXPECT_EQ(cache["bytes"]["bf16_shared"], 3 * 2 * (64 + 16));
  EXPECT_EQ(cache["mha_ratio"]["bf16"], 4.0 * 256 / 160);
  EXPECT_EQ(cache["gqa_ratio"]["int8"], 4.0 * 128 / 88);
  const std::string text = plan_text(report);
  EXPECT_TRUE(contains(text, "nano, 8 loops"));
  EXPECT_TRUE(contains(text, "core routed experts"));
  EXPECT_TRUE(contains(text, "1,024 tokens"));
  EXPECT_TRUE(contains(text, "1.0 KiB   a slot, 6.4 times as many; 11.6 times int8"));
}

TEST(PlanReport, RefusesMoreThanTheContext) {
  const Config nano = load_preset("nano");
  PlanOptions options;
  options.contexts = {64, 2048};
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { make_plan_report("nano", nano, options); }),
                       "--context 2048: longer than model.max_seq_len = 1024"));
  options.contexts.clear();
  options.seq_len = 2048;
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { make_plan_report("nano", nano, options); }),
                       "--seq-len 2048"));
}

// AdamW keeps two numbers of each parameter, Muon one of those in hidden matrices, averages one.
TEST(OptimizerBytes, FollowTheOptimizer) {
  const ModelConfig model;
  TrainConfig train;
  int64_t all = 0, hidden = 0;
  for (const TensorDeclaration& tensor : declared_tensors(model)) {
    if (!is_trained(tensor.use)) continue;
    all += tensor.numel();
    if (is_hidden_matrix(tensor)) hidden += tensor.numel();
  }
  ASSERT_GT(hidden, 0);
  EXPECT_EQ(optimizer_bytes(model, train), 8 * all);
  train.optimizer = Optimizer::muon;
  EXPECT_EQ(optimizer_bytes(model, train), 8 * all - 4 * hidden);
  train.ema_decay = 0.9;
  EXPECT_EQ(optimizer_bytes(model, train), 12 * all - 4 * hidden);
}

}  // namespace
}  // namespace mythos
