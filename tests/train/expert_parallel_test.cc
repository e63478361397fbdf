#include "train/expert_parallel.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "../ranks.h"
#include "../shared_scratch.h"
#include "../small_data.h"
#include "arch/communication.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"
#include "device/tensor_memory.h"
#include "equal_runs.h"
#include "ops/moe/moe.h"
#include "run_memory.h"
#include "tiny_run.h"
#include "train/optimizer.h"
#include "train/sharding.h"
#include "train/trainer.h"

namespace mythos {
namespace {

// Eight experts, of which a token uses three; tiny_run() has two loops, a shared expert and
// depth-wise LoRA.
const std::vector<std::string> kExperts = {"model.ffn=moe", "model.n_experts=8",
                                           "model.n_experts_per_tok=3", "model.expert_dim=16"};

TrainOptions options_of(const fs::path& directory, const std::string& run,
                        const std::vector<std::string>& assignments) {
  at::set_num_threads(1);
  set_log_level(LogLevel::error);
  TrainOptions options = shared_run(directory, run, {"train.log_every=1"});
  for (const auto& list : {kExperts, assignments}) {
    options.assignments.insert(options.assignments.end(), list.begin(), list.end());
  }
  return options;
}

std::string parted(int64_t ranks) {
  return "train.expert_ranks=" + std::to_string(ranks);
}

constexpr Layout kLayouts[] = {Layout::replicated, Layout::sharded_optimizer,
                               Layout::fully_sharded};
std::string in_layout(Layout layout) {
  return "train.layout=" + std::string(enum_name(layout));
}
std::string short_name(Layout layout) {
  const std::string name(enum_name(layout));
  return name.substr(0, name.find('-'));
}

// The metrics of many ranks, which divide experts, and of one.
void expect_equal_metrics(const fs::path& found, const fs::path& expected, double tolerance) {
  expect_equal_losses(found, expected, tolerance);
  for (const auto& line : metrics_lines(expected / "metrics.jsonl")) {
    EXPECT_FALSE(line.contains("rank_spread"));
  }
  for (const auto& line : metrics_lines(found / "metrics.jsonl")) {
    if (!line.contains("loss")) continue;
    const double spread = line.at("rank_spread");
    EXPECT_TRUE(spread >= 1 && spread < 4) << spread;
  }
}

// Fails unless ranks hold the same numbers of what they have in common.
void expect_equal_ranks(Ranks& ranks, const Parameters& parameters, int64_t parts) {
  for (const Parameters::Item& item : parameters.items()) {
    Checksum sum;
    const Tensor numbers = item.tensor.detach().contiguous();
    sum.update(numbers.data_ptr(), numbers.nbytes());
    const std::vector<std::string> all = ranks.gather(sum.hex());
    for (size_t r = 0; r < all.size(); ++r) {
      const size_t like = is_of_experts(item) ? r % static_cast<size_t>(parts) : 0;
      EXPECT_EQ(all[r], all[like]) << item.name << " on rank " << r;
    }
  }
}

void expect_alike(Ranks& ranks, int64_t parts, Layout layout,
                  const std::vector<std::string>& assignments, double tolerance) {
  const Scratch scratch;
  if (ranks.rank() == 0) write_small_shards(scratch / "shards", 40);
  const fs::path shared = ranks.gather(scratch.path().string())[0];
  TrainOptions many = options_of(shared, "many", assignments);
  many.assignments.push_back(parted(parts));
  many.assignments.push_back(in_layout(layout));
  many.ranks = &ranks;
  many.after_backward = [&](int64_t step, const Parameters& parameters) {
    const bool whole = layout != Layout::fully_sharded;
    if (whole && step % 5 == 4) expect_equal_ranks(ranks, parameters, parts);
  };
  const TrainResult together = train(many);
  if (ranks.rank() != 0) return;
  const TrainResult one = train(options_of(shared, "one", assignments));
  EXPECT_EQ(together.tokens, one.tokens);
  EXPECT_EQ(together.parameters, one.parameters);
  expect_equal_metrics(shared / "many", shared / "one", tolerance);
  expect_equal_checkpoints(together.checkpoint, one.checkpoint, tolerance);
}

struct Case {
  std::string name;
  std::vector<std::string> assignments;
};
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"balanced", {"train.balance_rate=0.01", "objectives.balance=0.01", "train.clip_norm=0.1"}},
      {"act", {"model.halting=act", "objectives.ponder_cost=0.01", "train.recompute=loop"}},
      {"uneven", {"model.n_experts_per_tok=1", "model.n_shared_experts=0", "train.balance_rate=0"}},
      {"muon_averages", {"train.optimizer=muon", "train.ema_decay=0.9", "train.recompute=block"}},
      {"sampled_loops",
       {"train.loop_sampling=uniform", "train.mean_loops=3", "train.max_sampled_loops=5",
        "train.backprop_loops=2", "train.bucket_bytes=1000"}},
      {"low_rank", {"train.tune_rank=2"}},
      {"experts_frozen", {"train.freeze=*.experts.*"}},
      {"last_layers", {"train.freeze=embed.* prelude.* core.*.attn.*", "model.tied_head=false"}},
      {"jacobian", {"objectives.jacobian=0.1", "model.core_layers=2"}},
      {"guarded", {"train.skip_steps=2", "train.skip_deviations=3"}},
  };
  return all;
}

class ExpertCases : public testing::TestWithParam<std::tuple<Layout, size_t>> {};
TEST_P(ExpertCases, two_ranks_train_as_one_does) {
  on_ranks(2, [](Ranks& ranks) {
    const auto& [layout, i] = GetParam();
    expect_alike(ranks, 2, layout, cases()[i].assignments, 1e-4);
  });
}
INSTANTIATE_TEST_SUITE_P(
    All, ExpertCases, testing::Combine(testing::ValuesIn(kLayouts), testing::Range<size_t>(0, 10)),
    [](const auto& info) {
      return short_name(std::get<0>(info.param)) + "_" + cases()[std::get<1>(info.param)].name;
    });

class DividedExpertsOf : public testing::TestWithParam<Layout> {};
INSTANTIATE_TEST_SUITE_P(Layouts, DividedExpertsOf, testing::ValuesIn(kLayouts),
                         [](const auto& info) { return short_name(info.param); });

TEST_P(DividedExpertsOf, four_ranks_train_as_one_does) {
  on_ranks(4, [](Ranks& ranks) {
    // With two parts Muon's matrices are divided among the ranks that hold them, with four they
    // are not.
    const bool shares = GetParam() != Layout::replicated;
    for (const int64_t parts : {2, 4}) {
      for (const size_t i : {size_t{1}, size_t{shares ? 3U : 0U}}) {
        expect_alike(ranks, parts, GetParam(), cases()[i].assignments, 1e-4);
      }
    }
  });
}

TEST(DividedExperts, whose_weights_come_and_go_in_bf16) {
  on_ranks(4, [](Ranks& ranks) {
    expect_alike(ranks, 2, Layout::fully_sharded, {"train.compute_type=bf16", "train.lr=1e-4"},
                 5e-3);
  });
}

// The layout changes on the way as well.
TEST_P(DividedExpertsOf, resume_across_4_2_1_4) {
  const SharedScratch scratch;
  if (scratch.is_own()) write_small_shards(scratch.path() / "shards", 60);
  const auto options = [&](const std::string& run, int64_t steps, int64_t parts, Layout layout) {
    TrainOptions options = options_of(
        scratch.path(), run,
        {"train.schedule=constant", "train.val_every=0", "train.ema_decay=0.9", parted(parts),
         in_layout(layout), "model.halting=act", "train.steps=" + std::to_string(steps)});
    options.resume = true;
    return options;
  };
  struct Part {
    int ranks;
    int64_t parts, until;
  };
  const Layout last =
      GetParam() == Layout::sharded_optimizer ? Layout::fully_sharded : Layout::sharded_optimizer;
  for (const Part part :
       {Part{4, 2, 3}, Part{2, 2, 6}, Part{1, 1, 8}, Part{4, 4, 10}, Part{4, 2, 12}}) {
    on_ranks(part.ranks, [&](Ranks& ranks) {
      TrainOptions many =
          options("many", part.until, part.parts, part.until == 12 ? last : GetParam());
      many.ranks = &ranks;
      EXPECT_EQ(train(many).step, part.until);
    });
  }
  train(options("one", 12, 1, Layout::replicated));
  std::map<int64_t, double> losses;
  for (const auto& line : metrics_lines(scratch.path() / "one/metrics.jsonl")) {
    if (line.contains("loss")) losses[line.at("step")] = line.at("loss");
  }
  size_t compared = 0;
  for (const auto& line : metrics_lines(scratch.path() / "many/metrics.jsonl")) {
    if (!line.contains("loss")) continue;
    EXPECT_NEAR(line.at("loss").get<double>(), losses.at(line.at("step")), 1e-5) << line;
    ++compared;
  }
  EXPECT_EQ(compared, 12u);
  expect_equal_checkpoints(scratch.path() / "many", scratch.path() / "one", 1e-4);
}

// One mixture with its gradients beside moe_swiglu() of all experts, where tokens choose experts as
// `pick` [E] lets them.
void check_mixture(Ranks& ranks, const Tensor& pick, bool x_has_gradient) {
  Config config = tiny_run();
  for (const std::string& assignment : kExperts) set_value(config, assignment);
  config.train.expert_ranks = ranks.size();
  Model whole(config.model, at::kCPU), part(config.model, at::kCPU);
  for (Model* model : {&whole, &part}) model->parameters.initialize(config.model, 1);
  ExpertParallel parallel(config, part.parameters, ranks);
  const auto weights_of = [](const Model& model) {
    return std::pair{model.parameters.at("core.0.ffn.experts.gate_up"),
                     model.parameters.at("core.0.ffn.experts.down")};
  };
  at::manual_seed(static_cast<uint64_t>(7 + ranks.rank()));
  const int64_t tokens = 5 + 3 * ranks.rank(), E = config.model.n_experts;
  const Tensor x = at::randn({tokens, config.model.dim}).requires_grad_(x_has_gradient);
  const Tensor scores = at::randn({tokens, E}).requires_grad_();
  const Tensor experts = std::get<1>(at::topk(scores.detach().softmax(-1) + 10 * pick, 3, -1));
  const Tensor weights = scores.softmax(-1).gather(1, experts);
  const Tensor direction = at::randn({tokens, config.model.dim});
  const auto gradients = [&](const Tensor& out) {
    (out * direction).sum().backward({}, /*retain_graph=*/true);
    std::vector<Tensor> found = {x.grad(), scores.grad()};
    x.mutable_grad() = scores.mutable_grad() = Tensor();
    return found;
  };
  const auto [gate_up, down] = weights_of(whole);
  const Tensor expected = moe_swiglu(x, experts, weights, gate_up, down);
  const std::vector<Tensor> expected_gradients = gradients(expected);
  const auto [own_gate_up, own_down] = weights_of(part);
  ASSERT_EQ(own_gate_up.size(0), E / ranks.size());
  const Tensor found = parallel.mixture(x, experts, weights, own_gate_up, own_down);
  expect_near(found, expected, 1e-6, "out");
  const std::vector<Tensor> found_gradients = gradients(found);
  for (size_t i = x_has_gradient ? 0 : 1; i < 2; ++i) {
    expect_near(found_gradients[i], expected_gradients[i], 1e-6, "gradient");
  }
  const int64_t each = E / ranks.size();
  for (const auto& [all, own] : {std::pair{gate_up, own_gate_up}, std::pair{down, own_down}}) {
    Tensor sum = all.grad().clone();
    ranks.start_sum(sum)->wait();
    const Tensor mine = own.grad().defined() ? own.grad() : at::zeros_like(own);
    expect_near(mine, sum.narrow(0, each * ranks.rank(), each), 1e-6, "gradient of experts");
  }
  const double spread = parallel.take_spread();
  EXPECT_TRUE(spread >= 1 && spread <= static_cast<double>(ranks.size())) << spread;
}

TEST(DividedExperts, a_mixture_is_that_of_all_experts) {
  for (const int n : {2, 4}) {
    on_ranks(n, [](Ranks& ranks) {
      for (const bool x_has_gradient : {true, false}) {
        check_mixture(ranks, at::zeros({8}), x_has_gradient);
        // No row for the last rank, and for four ranks for none but the first two.
        check_mixture(ranks, at::arange(8).lt(3).to(at::kFloat), x_has_gradient);
      }
    });
  }
}

// All experts here, as if others had some of them.
class CountedExchange final : public ExpertExchange {
 public:
  bool needs_every_loop() const override { return true; }
  Tensor mixture(const Tensor& x, const Tensor& experts, const Tensor& weights,
                 const Matrix& gate_up, const Matrix& down) override {
    ++calls;
    EXPECT_GT(x.size(0), 0);
    return moe_swiglu(x, experts, weights, gate_up, down);
  }
  int64_t calls = 0;
};

// Other ranks may need the loops that this one does not.
TEST(DividedExperts, every_loop_runs_though_all_positions_have_halted) {
  ModelConfig config = tiny_run().model;
  config.halting = Halting::act;
  config.act_threshold = 0.01;  // the first loop is enough
  config.vocab_size = 20;
  Model model(config, at::kCPU);
  model.parameters.initialize(config, 1);
  const Tensor ids = at::arange(16).view({2, 8});
  for (const bool records : {false, true}) {
    const at::AutoGradMode mode(records);
    const Weights weights = make_weights(config, model.parameters, at::kFloat);
    ForwardOptions options;
    options.loops = 4;
    const ForwardResult plain = forward(config, weights, ids, options);
    CountedExchange exchange;
    options.experts = &exchange;
    const ForwardResult exchanged = forward(config, weights, ids, options);
    EXPECT_EQ(exchange.calls, 4 * config.core_layers);
    EXPECT_TRUE(plain.loops_run.eq(1).all().item<bool>());
    EXPECT_TRUE(exchanged.loops_run.equal(plain.loops_run));
    expect_near(exchanged.hidden.detach(), plain.hidden.detach(), 1e-6, "hidden");
    expect_near(exchanged.ponder.detach(), plain.ponder.detach(), 1e-6, "ponder");
  }
}

TEST(DividedExperts, the_norm_counts_every_gradient_once) {
  on_ranks(4, [](Ranks& ranks) {
    Config config = tiny_run();
    config.train.expert_ranks = 2;
    Model model(config.model, at::kCPU);
    ExpertParallel experts(config, model.parameters, ranks);
    double own = 0, all = 0;
    for (TrainedTensor& item : trained_tensors(model.parameters)) {
      // Numbers by what a rank holds: experts of ranks 0 and 2 have 1, of ranks 1 and 3 have 3.
      const double number = !is_of_experts(item) ? 2 : ranks.rank() % 2 == 0 ? 1 : 3;
      item.tensor.mutable_grad() = at::full_like(item.tensor, number).detach();
      const auto count = static_cast<double>(item.tensor.numel());
      own += number * number * count;
      all += is_of_experts(item) ? (1 + 9) * count : 4 * count;
    }
    const Tensor norm = experts.norm(at::full({}, std::sqrt(own)));
    EXPECT_NEAR(norm.item<double>(), std::sqrt(all), 1e-5 * std::sqrt(all));
    const std::vector<std::string> texts = ranks.gather(strprintf("%.17g", norm.item<double>()));
    for (const std::string& text : texts) EXPECT_EQ(text, texts[0]);
  });
}

TEST_P(DividedExpertsOf, a_rank_holds_what_rank_state_says) {
  on_ranks(4, [](Ranks& ranks) {
    count_tensor_memory();
    for (const int64_t parts : {1, 2, 4}) {
      Config config = tiny_run();
      config.model.expert_dim = 64;
      config.train.expert_ranks = parts;
      config.train.layout = GetParam();
      const int64_t before = tensor_bytes();
      Model model(config.model, at::kCPU);
      ExpertParallel experts(config, model.parameters, ranks);
      Sharding sharding(config, model.parameters, ranks, &experts);
      GroupedOptimizer optimizer(model.parameters, sharding.own(), config.train, {});
      sharding.release();
      const auto held = static_cast<double>(tensor_bytes() - before);
      const RankState state = rank_state(config, ranks.size());
      const auto expected = static_cast<double>(state.weights + state.optimizer);
      EXPECT_NEAR(held, expected, 0.03 * expected) << parts;
    }
  });
}

// One run for each job: of an earlier one Gloo may hold messages for a while.
void check_memory(Layout layout, int64_t parts, Recompute recompute) {
  on_ranks(4, [&](Ranks& ranks) {
    const Scratch scratch;
    write_small_shards(scratch / "shards", 60);
    Config config = load_preset("tiny");
    config.model.ffn = FeedForward::moe;
    config.model.n_experts = 16;
    config.model.expert_dim = 256;
    config.train.optimizer = Optimizer::adamw;
    config.train.compute_type = ComputeType::fp32;
    config.train.recompute = recompute;
    config.train.seq_len = 32;
    config.train.batch_size = 4;
    config.train.grad_accum = 1;
    config.train.layout = layout;
    const int64_t whole = rank_memory(config, 4, rank_step_shape(config, 4, 2, 4)).total();
    config.train.expert_ranks = parts;
    const RunMemory run = run_memory(scratch.path(), config, 2, &ranks);
    const std::string text = strprintf("%d parts: planned %d, measured %d; with all experts %d",
                                       parts, run.planned, run.measured, whole);
    EXPECT_NEAR(run.ratio(), 1, 0.15) << text;
    EXPECT_LT(run.measured, whole) << text;
  });
}
TEST_P(DividedExpertsOf, a_run_holds_what_the_plan_says) {
  check_memory(GetParam(), 2, Recompute::block);
  check_memory(GetParam(), 4, Recompute::none);
}

// With all experts chosen by every token what is sent does not depend on the router.
TEST_P(DividedExpertsOf, send_what_the_plan_says) {
  on_ranks(4, [](Ranks& ranks) {
    for (const char* recompute : {"none", "loop"}) {
      const Scratch scratch;
      write_small_shards(scratch / "shards", 40);
      TrainOptions options = options_of(
          scratch.path(), "run",
          {"model.n_experts_per_tok=8", "train.val_every=0", "train.save_every=0", "train.steps=4",
           "train.bucket_bytes=5000", "train.loop_sampling=fixed", "train.mean_loops=3",
           "train.backprop_loops=2", "train.grad_accum=8", parted(2), in_layout(GetParam()),
           std::string("train.recompute=") + recompute});
      options.ranks = &ranks;
      std::vector<Ranks::Volume> seen;
      options.after_backward = [&](int64_t, const Parameters&) { seen.push_back(ranks.volume()); };
      train(options);
      Config config = tiny_run();
      for (const std::string& assignment : options.assignments) set_value(config, assignment);
      config.model.vocab_size = ShardDirectory(scratch / "shards").manifest().vocab_size;
      const StepVolume expected = step_volume(config, 4, 2);
      const int64_t rows = exchange_bytes(config, 4, 3, 2, 2 * 4 * 16, 4);
      ASSERT_EQ(seen.size(), 4u);
      for (size_t i = 1; i < seen.size(); ++i) {
        EXPECT_EQ(seen[i].all_to_all - seen[i - 1].all_to_all, rows) << recompute;
        EXPECT_EQ(seen[i].sum - seen[i - 1].sum, expected.sum + expected.agreement_sum);
        EXPECT_EQ(seen[i].reduce_scatter - seen[i - 1].reduce_scatter, expected.reduce_scatter);
        EXPECT_EQ(seen[i].all_gather - seen[i - 1].all_gather,
                  expected.all_gather + expected.agreement_all_gather);
      }
    }
  });
}

std::string refusal(int64_t ranks, const std::vector<std::string>& assignments) {
  return error_of(ErrorKind::usage, [&] {
    Config config = tiny_run();
    for (const auto& list : {kExperts, assignments}) {
      for (const std::string& assignment : list) set_value(config, assignment);
    }
    config.validate();
    require_expert_ranks(config.train, ranks);
  });
}

TEST(DividedExperts, what_does_not_go_is_refused_by_name) {
  const auto expect = [](int64_t ranks, const std::vector<std::string>& assignments,
                         const std::string& part) {
    const std::string text = refusal(ranks, assignments);
    EXPECT_TRUE(contains(text, part)) << text;
    EXPECT_TRUE(contains(text, "train.expert_ranks")) << text;
  };
  expect(3, {parted(3)}, "must divide model.n_experts = 8");
  expect(16, {parted(16)}, "must divide model.n_experts = 8");
  expect(1, {parted(2)}, "does not divide the number of ranks, 1");
  expect(6, {parted(4)}, "does not divide the number of ranks, 6");
  expect(2, {parted(2), "model.ffn=dense"}, "model.ffn = \"moe\"");
  expect(2, {parted(2), "train.loops_per=sequence"}, "train.loops_per = \"sequence\"");
  expect(2, {parted(2), "model.latent_token=3"}, "model.latent_token");
}

TEST(DividedExperts, a_run_that_ranks_do_not_fit_ends_before_its_first_step) {
  const Scratch scratch;
  write_small_shards(scratch / "shards", 40);
  const TrainOptions options = options_of(scratch.path(), "run", {parted(2)});
  const std::string text = error_of(ErrorKind::usage, [&] { train(options); });
  EXPECT_TRUE(contains(text, "does not divide the number of ranks, 1")) << text;
  EXPECT_TRUE(contains(text, "--set train.expert_ranks=1")) << text;
}

}  // namespace
}  // namespace mythos
