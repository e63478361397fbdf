#include "train/sharding.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "../ranks.h"
#include "../shared_scratch.h"
#include "../small_data.h"
#include "arch/communication.h"
#include "arch/tensors.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"
#include "device/tensor_memory.h"
#include "equal_runs.h"
#include "run_memory.h"
#include "tiny_run.h"
#include "train/optimizer.h"
#include "train/step.h"
#include "train/trainer.h"

namespace mythos {
namespace {

const std::vector<std::string> kLayouts = {"sharded-optimizer", "fully-sharded"};

struct Case {
  std::string name;
  std::vector<std::string> assignments;
};
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"dense", {"model.ffn=dense", "train.clip_norm=0.1"}},
      {"moe_muon",
       {"model.ffn=moe", "model.n_experts=4", "model.expert_dim=16", "train.optimizer=muon",
        "train.balance_rate=0.01"}},
      {"mla_averages", {"model.attention=mla", "train.ema_decay=0.9", "train.cautious_decay=true"}},
      {"act_loops", {"model.halting=act", "objectives.ponder_cost=0.01", "train.recompute=loop"}},
      {"depth_of_sequences",
       {"train.loops_per=sequence", "train.loop_sampling=uniform", "train.mean_loops=2",
        "train.max_sampled_loops=3"}},
      {"guarded", {"train.skip_steps=2", "train.skip_deviations=3"}},
      {"low_rank", {"train.tune_rank=2"}},
      {"frozen", {"train.freeze=core.*", "train.param_groups=embed.weight lr=0.5"}},
      {"many_blocks",
       {"model.prelude_layers=3", "model.core_layers=2", "model.coda_layers=3", "model.ffn=dense",
        "model.tied_head=false", "train.recompute=block"}},
      {"outputs_of_loops",
       {"model.prelude_layers=2", "model.coda_layers=2", "model.halting=gate", "objectives.gate=1",
        "objectives.per_loop=0.5"}},
      {"no_output",
       {"model.prelude_layers=2", "objectives.next_token=0", "objectives.fixed_point=1"}},
      {"truncated",
       {"model.prelude_layers=2", "model.coda_layers=0", "train.backprop_loops=1",
        "model.initial_state=random", "objectives.jacobian=0.1"}},
      {"frozen_layer", {"model.prelude_layers=3", "train.freeze=embed.* prelude.0.* coda.*"}},
  };
  return all;
}

TrainOptions options_of(const fs::path& directory, const std::string& run,
                        const std::vector<std::string>& assignments) {
  at::set_num_threads(1);
  set_log_level(LogLevel::error);
  TrainOptions options = shared_run(directory, run, {"train.log_every=1"});
  options.assignments.insert(options.assignments.end(), assignments.begin(), assignments.end());
  return options;
}

void expect_alike(Ranks& ranks, const std::string& layout,
                  const std::vector<std::string>& assignments, double tolerance) {
  const Scratch scratch;
  write_small_shards(scratch / "shards", 40);
  TrainOptions many = options_of(scratch.path(), "many", assignments);
  many.assignments.push_back("train.layout=" + layout);
  many.ranks = &ranks;
  const TrainResult together = train(many);
  if (ranks.rank() != 0) return;
  const TrainResult one = train(options_of(scratch.path(), "one", assignments));
  EXPECT_EQ(together.tokens, one.tokens);
  EXPECT_EQ(together.parameters, one.parameters);
  expect_equal_losses(scratch / "many", scratch / "one", tolerance);
  expect_equal_checkpoints(together.checkpoint, one.checkpoint, tolerance);
}

class SharedLayout : public testing::TestWithParam<std::tuple<std::string, size_t>> {};
TEST_P(SharedLayout, two_ranks_train_as_one_does) {
  on_ranks(2, [](Ranks& ranks) {
    const auto& [layout, i] = GetParam();
    expect_alike(ranks, layout, cases()[i].assignments, 2e-4);
  });
}
INSTANTIATE_TEST_SUITE_P(
    All, SharedLayout, testing::Combine(testing::ValuesIn(kLayouts), testing::Range<size_t>(0, 13)),
    [](const auto& info) {
      const std::string& layout = std::get<0>(info.param);
      return layout.substr(0, layout.find('-')) + "_" + cases()[std::get<1>(info.param)].name;
    });

TEST(FourSharedRanks, train_as_one_does) {
  on_ranks(4, [](Ranks& ranks) {
    for (const std::string& layout : kLayouts) {
      for (const size_t i : {size_t{1}, size_t{4}, size_t{8}}) {
        expect_alike(ranks, layout, cases()[i].assignments, 2e-4);
      }
    }
  });
}

TEST(FullySharded, lets_go_of_what_bf16_has_copies_of) {
  on_ranks(2, [](Ranks& ranks) {
    expect_alike(ranks, "fully-sharded",
                 {"train.compute_type=bf16", "train.lr=1e-4", "model.ffn=moe",
                  "model.prelude_layers=2", "model.coda_layers=2"},
                 5e-3);
  });
}

// Thoughts need passes before the one whose result counts, not equally many on all ranks; gradients
// are those of one process with all groups.
TEST(FullySharded, has_the_gradients_of_latent_thoughts) {
  on_ranks(2, [](Ranks& ranks) {
    constexpr int64_t kLatent = 7;
    Config config = tiny_run();
    config.model.prelude_layers = config.model.coda_layers = 2;
    config.model.vocab_size = 50;
    config.model.latent_token = kLatent;
    config.train.layout = Layout::fully_sharded;
    std::vector<DepthGroup> groups;
    for (int64_t rank = 0; rank < ranks.size(); ++rank) {
      DepthGroup& group = groups.emplace_back();
      group.loops = 2;
      group.batch.batch_size = 1;
      group.batch.seq_len = 8;
      for (int64_t i = 0; i < 8; ++i) group.batch.inputs.push_back(20 + 3 * i + rank);
      group.batch.targets = group.batch.inputs;
      for (int64_t i = 0; i < 2 * rank; ++i)
        group.batch.inputs[static_cast<size_t>(2 + i)] = kLatent;
    }
    Model whole(config.model, at::kCPU), shared(config.model, at::kCPU);
    whole.parameters.initialize(config.model, 3);
    shared.parameters.initialize(config.model, 3);
    forward_backward(config, whole.parameters, groups, 16, at::kFloat);
    Sharding sharding(config, shared.parameters, ranks);
    sharding.release();
    sharding.begin_step(1);
    const std::vector<DepthGroup> own = {groups[static_cast<size_t>(ranks.rank())]};
    forward_backward(config, shared.parameters, own, 16, at::kFloat, {}, {},
                     {.before = [&] { sharding.begin_pass(); },
                      .made = [&](const Weights& weights) { sharding.weights_made(weights); },
                      .after = [&] { sharding.end_pass(); },
                      .blocks = sharding.blocks()});
    sharding.finish_gradients();
    for (const TrainedTensor& piece : sharding.own()) {
      const Tensor gradient = whole.parameters.at(whole_name(piece.name)).grad();
      ASSERT_TRUE(gradient.defined()) << piece.name;
      const int64_t begin = slice_begin(piece.name).value_or(0);
      const Tensor expected = gradient.flatten().narrow(0, begin, piece.tensor.numel());
      expect_near(piece.tensor.grad().flatten(), expected, 1e-5, piece.name);
    }
  });
}

// What is told of the blocks of a pass: "prelude.0(" begins, ")" ends, "!" begins backward.
class BlockLog final : public BlockWatch {
 public:
  std::string text;
  void begin_forward(const LayerId& block) override { text += block_of(block) + "( "; }
  void end_forward(const LayerId& block) override { text += block_of(block) + ") "; }
  void begin_backward(const LayerId& block) override { text += block_of(block) + "! "; }
};

Config many_blocks() {
  Config config = tiny_run();
  config.model.prelude_layers = 2;
  config.model.coda_layers = 1;
  return config;
}

TEST(BlockWatch, is_told_of_each_block_and_changes_nothing) {
  const Config config = many_blocks();
  Parameters parameters(config.model, at::kCPU);
  parameters.initialize(config.model, 3);
  const Tensor ids = at::arange(12).view({2, 6});
  const auto gradients = [&](BlockWatch* blocks, Recompute recompute) {
    ForwardOptions options;
    options.recompute = recompute;
    options.blocks = blocks;
    const Weights weights = make_weights(config.model, parameters, at::kFloat);
    const Tensor hidden = forward(config.model, weights, ids, options).hidden;
    loss_sum(weights, hidden, ids).backward();
    std::vector<Tensor> found;
    for (const Parameters::Item& item : parameters.items()) {
      found.push_back(item.tensor.grad());
      Tensor(item.tensor).mutable_grad() = Tensor();
    }
    return found;
  };
  for (const Recompute recompute : {Recompute::none, Recompute::loop, Recompute::block}) {
    BlockLog log;
    const std::vector<Tensor> found = gradients(&log, recompute);
    EXPECT_EQ(log.text,
              "prelude.0( prelude.0) prelude.1( prelude.1) core( core) coda.0( coda.0) "
              "coda.0! core! prelude.1! prelude.0! ");
    const std::vector<Tensor> expected = gradients(nullptr, recompute);
    for (size_t i = 0; i < expected.size(); ++i) {
      if (!expected[i].defined()) continue;
      EXPECT_TRUE(found[i].equal(expected[i])) << parameters.items()[i].name;
    }
  }
}

// The collectives of a pass: "+" gathers, "-" sums.
std::string calls_text(const Config& config) {
  std::vector<std::string> names;
  for (const TensorDeclaration& tensor : declared_tensors(config.model)) {
    if (is_trained(tensor.use)) names.push_back(tensor.name);
  }
  const std::vector<ShardedBlock> blocks = blocks_of(names);
  std::string text;
  for (const BlockCall& call : block_calls(blocks, config)) {
    text += (call.gathers ? "+" : "-") + blocks[call.block].name + " ";
  }
  return text;
}

TEST(BlockCalls, gather_a_block_again_while_the_one_behind_it_computes) {
  Config config = many_blocks();
  const std::string forward = "+ +prelude.0 +prelude.1 +core +coda.0 ";
  EXPECT_EQ(calls_text(config), forward +
                                    "+core -coda.0 +prelude.1 -core +prelude.0 -prelude.1 "
                                    "-prelude.0 - ");
  config.objectives.per_loop = 1;
  EXPECT_EQ(calls_text(config),
            forward + "+prelude.1 -coda.0 -core +prelude.0 -prelude.1 -prelude.0 - ");
  config.train.tune_rank = 2;
  EXPECT_EQ(calls_text(config), forward + "-coda.0 -core -prelude.1 -prelude.0 - ");
}

TEST(FullySharded, holds_a_few_blocks_at_a_time) {
  on_ranks(4, [](Ranks& ranks) {
    const Scratch scratch;
    write_small_shards(scratch / "shards", 60);
    for (const ComputeType type : {ComputeType::fp32, ComputeType::bf16}) {
      for (const Recompute recompute : {Recompute::none, Recompute::block}) {
        Config config = load_preset("tiny");
        config.model.prelude_layers = config.model.coda_layers = 8;
        config.model.ffn = FeedForward::dense;
        config.train.optimizer = Optimizer::adamw;  // with Muon ranks hold unequal room
        config.train.compute_type = type;
        config.train.recompute = recompute;
        config.train.seq_len = 32;
        config.train.batch_size = 4;
        config.train.grad_accum = 1;
        config.train.layout = Layout::sharded_optimizer;
        const RunMemory whole = run_memory(scratch.path(), config, 2, &ranks);
        config.train.layout = Layout::fully_sharded;
        const RunMemory shared = run_memory(scratch.path(), config, 2, &ranks);
        const std::string text = strprintf(
            "%s, %s: planned %d, measured %d; with whole weights %d", std::string(enum_name(type)),
            std::string(enum_name(recompute)), shared.planned, shared.measured, whole.measured);
        EXPECT_NEAR(shared.ratio(), 1, 0.15) << text;
        EXPECT_LT(shared.measured, whole.measured * 7 / 10) << text;
      }
    }
  });
}

class ChangingRanks : public testing::TestWithParam<std::string> {};
TEST_P(ChangingRanks, resume_across_4_2_1_3) {
  const SharedScratch scratch;
  if (scratch.is_own()) write_small_shards(scratch.path() / "shards", 60);
  const auto options = [&](const std::string& run, int64_t steps, const std::string& layout) {
    TrainOptions options = options_of(
        scratch.path(), run,
        {"train.batch_size=12", "train.grad_accum=1", "train.schedule=constant",
         "train.val_every=0", "train.optimizer=muon", "train.ema_decay=0.9", "model.halting=act",
         "train.layout=" + layout, "train.steps=" + std::to_string(steps)});
    options.resume = true;
    return options;
  };
  // The layout changes on the way as well.
  const std::string last = GetParam() == "replicated" ? "fully-sharded" : GetParam();
  for (const auto& [ranks, steps] :
       std::vector<std::pair<int, int64_t>>{{4, 3}, {2, 6}, {1, 8}, {3, 12}}) {
    const int64_t until = steps;
    const std::string layout = until == 12 ? last : GetParam();
    on_ranks(ranks, [&](Ranks& ranks) {
      TrainOptions many = options("many", until, layout);
      many.ranks = &ranks;
      EXPECT_EQ(train(many).step, until);
    });
  }
  train(options("one", 12, "replicated"));
  const auto many = metrics_lines(scratch.path() / "many/metrics.jsonl");
  const auto one = metrics_lines(scratch.path() / "one/metrics.jsonl");
  std::map<int64_t, double> losses;
  for (const auto& line : one) {
    if (line.contains("loss")) losses[line.at("step")] = line.at("loss");
  }
  size_t compared = 0;
  for (const auto& line : many) {
    if (!line.contains("loss")) continue;
    EXPECT_NEAR(line.at("loss").get<double>(), losses.at(line.at("step")), 1e-5) << line;
    ++compared;
  }
  EXPECT_EQ(compared, 12u);
  expect_equal_checkpoints(scratch.path() / "many", scratch.path() / "one", 2e-4);
}
INSTANTIATE_TEST_SUITE_P(Layouts, ChangingRanks,
                         testing::Values("replicated", "sharded-optimizer", "fully-sharded"),
                         [](const auto& info) {
                           return info.param.substr(0, info.param.find('-'));
                         });

std::string hash_of(const NamedTensors& tensors) {
  Checksum sum;
  for (const auto& [name, tensor] : tensors) {
    sum.update(name.data(), name.size());
    const Tensor numbers = tensor.contiguous();
    sum.update(numbers.data_ptr(), numbers.nbytes());
  }
  return sum.hex();
}

// What all ranks save together in a layout, from weights that are drawn alike.
CheckpointContent content_of(Ranks& ranks, const Config& config, Model& model, Sharding& sharding) {
  CheckpointContent content;
  content.config = config;
  NamedTensors weights = named_tensors(model.parameters), pieces;
  if (sharding.shares_weights()) pieces = sharding.take_pieces(weights);
  content.model = sharding.part_of(weights);
  content.model.insert(content.model.end(), pieces.begin(), pieces.end());
  content.sliced = sharding.sliced(content.model);
  content.state = {{"rank", ranks.rank()}};
  return content;
}

TEST(SharedCheckpoint, weights_are_the_same_bit_for_bit) {
  on_ranks(4, [](Ranks& ranks) {
    for (const Layout layout : {Layout::replicated, Layout::fully_sharded}) {
      const Scratch scratch;
      Config config = tiny_run();
      config.train.layout = layout;
      config.train.optimizer = Optimizer::muon;
      Model model(config.model, at::kCPU);
      model.parameters.initialize(config.model, 3);
      const std::string before = hash_of(named_tensors(model.parameters));
      Sharding sharding(config, model.parameters, ranks);
      sharding.release();
      const fs::path saved =
          save_checkpoint(scratch.path(), 7, content_of(ranks, config, model, sharding), ranks);
      if (ranks.rank() == 0) {
        EXPECT_TRUE(verify_checkpoint(saved).empty());
        EXPECT_TRUE(fs::exists(saved / "model-rank00003.safetensors"));
        const LoadedCheckpoint loaded = load_checkpoint(scratch.path(), at::kCPU);
        EXPECT_EQ(loaded.state.at("rank"), 0);
        EXPECT_EQ(hash_of(named_tensors(loaded.model->parameters)), before);
      }
      sharding.gather();
      EXPECT_EQ(hash_of(named_tensors(model.parameters)), before);
    }
  });
}

TEST(SharedCheckpoint, a_failed_write_on_one_rank_fails_on_all) {
  on_ranks(2, [](Ranks& ranks) {
    const Scratch scratch;
    Config config = tiny_run();
    config.train.layout = Layout::fully_sharded;
    Model model(config.model, at::kCPU);
    model.parameters.initialize(config.model, 3);
    Sharding sharding(config, model.parameters, ranks);
    const CheckpointContent content = content_of(ranks, config, model, sharding);
    const fs::path whole = save_checkpoint(scratch.path(), 1, content, ranks);
    if (ranks.rank() == 1) {  // as a full disk
      signal(SIGXFSZ, SIG_IGN);
      rlimit limit;
      getrlimit(RLIMIT_FSIZE, &limit);
      limit.rlim_cur = 4096;
      setrlimit(RLIMIT_FSIZE, &limit);
    }
    const std::string text =
        error_of(ErrorKind::resources, [&] { save_checkpoint(scratch.path(), 2, content, ranks); });
    EXPECT_TRUE(contains(text, "rank 1: ")) << text;
    EXPECT_TRUE(contains(text, "The checkpoint of step 2 was not saved; older ones")) << text;
    if (ranks.rank() == 0) {
      EXPECT_EQ(fs::read_symlink(scratch / "latest"), whole.filename());
      EXPECT_TRUE(verify_checkpoint(whole).empty());
      int64_t entries = 0;
      for (const auto& entry : fs::directory_iterator(scratch.path())) {
        ++entries;
        EXPECT_FALSE(is_unfinished(entry.path().filename())) << entry.path();
      }
      EXPECT_EQ(entries, 2);
    }
  });
}

TEST(SharedCheckpoint, slices_that_do_not_fit_are_refused) {
  const TensorMap stored = {{"x@0", at::arange(4)}, {"x@6", at::arange(6, 10)}};
  EXPECT_TRUE(stored_numbers(stored, "x", 7, 2, "o").equal(at::arange(7, 9)));
  EXPECT_FALSE(stored_numbers(stored, "y", 0, 1, "o").defined());
  std::string text = error_of(ErrorKind::data, [&] { stored_numbers(stored, "x", 2, 6, "o"); });
  EXPECT_TRUE(contains(text, "o: the slices of tensor 'x' lack number 4.")) << text;
  text = error_of(ErrorKind::data, [&] { joined(stored, {{"x", {2, 5}}}, "o"); });
  EXPECT_TRUE(contains(text, "have 8 numbers, its shape 10")) << text;
  text = error_of(ErrorKind::data, [&] { joined(stored, {}, "o"); });
  EXPECT_TRUE(contains(text, "no file has its shape")) << text;
  TensorShapes shapes;
  text = error_of(ErrorKind::data, [&] { read_shapes({{"shape:x", "[2,-5]"}}, shapes, "o"); });
  EXPECT_TRUE(contains(text, "is no shape: [2,-5]")) << text;
  const StoredTensors whole =
      joined({{"x@4", at::arange(4, 10)}, {"x@0", at::arange(4)}, {"y", at::ones(1)}},
             {{"x", {2, 5}}}, "o");
  EXPECT_EQ(whole.size(), 2u);
  EXPECT_TRUE(whole.at("x")().equal(at::arange(10).view({2, 5})));
  text = error_of(ErrorKind::data, [&] { joined(stored, {{"x", {2, 4}}}, "o").at("x")(); });
  EXPECT_TRUE(contains(text, "lack number 4.")) << text;
}

// What every step sends is what step_volume() says.
void check_volume(Ranks& ranks, const std::string& layout, const Case& one) {
  const Scratch scratch;
  write_small_shards(scratch / "shards", 40);
  TrainOptions options = options_of(scratch.path(), "run", one.assignments);
  options.assignments.insert(options.assignments.end(),
                             {"train.layout=" + layout, "train.val_every=0", "train.save_every=0",
                              "train.steps=4", "train.bucket_bytes=5000", "train.grad_accum=4"});
  options.ranks = &ranks;
  std::vector<Ranks::Volume> seen;
  options.after_backward = [&](int64_t, const Parameters&) { seen.push_back(ranks.volume()); };
  train(options);
  Config config = tiny_run();
  for (const std::string& assignment : options.assignments) set_value(config, assignment);
  config.model.vocab_size = ShardDirectory(scratch / "shards").manifest().vocab_size;
  const StepVolume expected = step_volume(config, ranks.size(), 4 / ranks.size());
  for (size_t i = 1; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].sum - seen[i - 1].sum, expected.sum + expected.agreement_sum);
    EXPECT_EQ(seen[i].reduce_scatter - seen[i - 1].reduce_scatter, expected.reduce_scatter);
    EXPECT_EQ(seen[i].all_gather - seen[i - 1].all_gather,
              expected.all_gather + expected.agreement_all_gather);
  }
}

TEST(StepVolume, is_what_ranks_send) {
  on_ranks(2, [](Ranks& ranks) {
    for (const std::string layout : {"replicated", "sharded-optimizer", "fully-sharded"}) {
      for (const size_t i : {size_t{0}, size_t{1}, size_t{3}, size_t{8}, size_t{9}}) {
        SCOPED_TRACE(layout + " " + cases()[i].name);
        check_volume(ranks, layout, cases()[i]);
      }
    }
  });
}

TEST(RankState, is_what_a_rank_holds_between_steps) {
  on_ranks(4, [](Ranks& ranks) {
    count_tensor_memory();
    for (const Layout layout :
         {Layout::replicated, Layout::sharded_optimizer, Layout::fully_sharded}) {
      Config config = tiny_run();
      config.model.dim = 64;
      config.train.layout = layout;
      config.train.ema_decay = 0.9;
      const int64_t before = tensor_bytes();
      Model model(config.model, at::kCPU);
      Sharding sharding(config, model.parameters, ranks);
      GroupedOptimizer optimizer(model.parameters, sharding.own(), config.train, {});
      sharding.release();
      const auto held = static_cast<double>(tensor_bytes() - before);
      const RankState state = rank_state(config, ranks.size());
      const auto expected = static_cast<double>(state.weights + state.optimizer);
      EXPECT_NEAR(held, expected, 0.03 * expected) << enum_name(layout);
    }
  });
}

TEST(ShardLayout, covers_every_number_once_in_equal_shares) {
  const std::vector<ShardedTensor> tensors = {
      {"a", 7}, {"experts", 60, 12}, {"b", 1}, {"matrix", 40, 40}, {"c", 33}};
  for (int64_t ranks = 1; ranks <= 9; ++ranks) {
    const ShardLayout layout = divide(tensors, ranks);
    std::vector<std::vector<int>> covered;
    for (const ShardedTensor& tensor : tensors) {
      covered.emplace_back(static_cast<size_t>(tensor.numel), 0);
    }
    std::vector<int> filled(static_cast<size_t>(ranks * layout.share), 0);
    for (const ShardPiece& piece : layout.pieces) {
      EXPECT_EQ(piece.begin % tensors[piece.tensor].unit, 0);
      EXPECT_EQ(piece.count % tensors[piece.tensor].unit, 0);
      EXPECT_LE(piece.offset + piece.count, layout.share);
      for (int64_t i = 0; i < piece.count; ++i) {
        ++covered[piece.tensor][static_cast<size_t>(piece.begin + i)];
        ++filled[static_cast<size_t>(piece.rank * layout.share + piece.offset + i)];
      }
    }
    for (const auto& tensor : covered) EXPECT_EQ(std::ranges::count(tensor, 1), std::ssize(tensor));
    EXPECT_EQ(std::ranges::count(filled, 1), 141);
    EXPECT_LE(layout.share, std::max<int64_t>(40, (141 + ranks - 1) / ranks + 12));
  }
  const auto blocks = blocks_of({"embed.weight", "prelude.10.a", "core.0.b", "coda.1.c",
                                 "recurrent.x", "norm.weight", "prelude.10.d"});
  ASSERT_EQ(blocks.size(), 4u);
  EXPECT_EQ(blocks[0].tensors, (std::vector<size_t>{0, 5}));
  EXPECT_EQ(blocks[1].name, "prelude.10");
  EXPECT_EQ(blocks[2].tensors, (std::vector<size_t>{2, 4}));
}

}  // namespace
}  // namespace mythos
