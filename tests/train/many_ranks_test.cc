#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "../ranks.h"
#include "../scratch.h"
#include "../small_data.h"
#include "base/log.h"
#include "base/strings.h"
#include "checkpoint/checkpoint.h"
#include "dist/single_rank.h"
#include "equal_runs.h"
#include "model/weights.h"
#include "tiny_run.h"
#include "train/across_ranks.h"
#include "train/gradient_sum.h"
#include "train/trained_tensors.h"
#include "train/trainer.h"

namespace mythos {
namespace {

// Numbers of a line of metrics, those of nested ones too, but for what a clock has measured.
void expect_near(const nlohmann::json& found, const nlohmann::json& expected, double tolerance) {
  const nlohmann::json flat = found.flatten(), flat_expected = expected.flatten();
  ASSERT_EQ(flat.size(), flat_expected.size());
  for (const auto& [key, value] : flat_expected.items()) {
    if (key == "/seconds" || key == "/tokens_per_second" || key == "/data_wait") continue;
    if (value.is_number_float()) {
      const auto number = value.get<double>();
      EXPECT_NEAR(flat.at(key).get<double>(), number, tolerance * (1 + std::abs(number))) << key;
    } else {
      EXPECT_EQ(flat.at(key), value) << key;
    }
  }
}

// Compares what `ranks` train with what one process trains.
void expect_alike(Ranks& ranks, const std::vector<std::string>& assignments, double tolerance) {
  at::set_num_threads(1);
  set_log_level(LogLevel::error);
  const Scratch own;
  if (ranks.rank() == 0) write_small_shards(own / "shards", 40);
  const fs::path scratch = ranks.gather(own.path().string())[0];
  TrainOptions many = shared_run(scratch, "many", assignments);
  many.ranks = &ranks;
  const TrainResult together = train(many);
  if (ranks.rank() != 0) return;
  const TrainResult one = train(shared_run(scratch, "one", assignments));
  EXPECT_EQ(together.tokens, one.tokens);
  EXPECT_EQ(together.skipped_steps, one.skipped_steps);
  ASSERT_TRUE(one.loss && together.loss && one.val_loss && together.val_loss);
  EXPECT_NEAR(*together.loss, *one.loss, tolerance);
  EXPECT_NEAR(*together.val_loss, *one.val_loss, tolerance);
  EXPECT_NEAR(*together.val_bpb, *one.val_bpb, tolerance);
  expect_equal_checkpoints(together.checkpoint, one.checkpoint, tolerance);
  const auto many_lines = metrics_lines(scratch / "many/metrics.jsonl");
  const auto one_lines = metrics_lines(scratch / "one/metrics.jsonl");
  ASSERT_EQ(many_lines.size(), one_lines.size());
  for (size_t i = 0; i < one_lines.size(); ++i) {
    expect_near(many_lines[i], one_lines[i], tolerance);
  }
}

struct Case {
  std::string name;
  std::vector<std::string> assignments;
};
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"dense", {"model.ffn=dense"}},
      {"moe_with_balance",
       {"model.ffn=moe", "model.n_experts=4", "model.expert_dim=16", "train.balance_rate=0.01",
        "objectives.balance=0.01"}},
      {"mla", {"model.attention=mla", "train.clip_norm=0.1", "train.ema_decay=0.9"}},
      {"act", {"model.halting=act", "objectives.ponder_cost=0.01"}},
      {"muon", {"train.optimizer=muon"}},
      {"depth_of_sequences",
       {"train.loops_per=sequence", "train.loop_sampling=uniform", "train.mean_loops=2",
        "train.max_sampled_loops=3"}},
      {"random_state", {"model.initial_state=random", "model.injection=add"}},
      {"small_buckets", {"train.bucket_bytes=1000", "train.recompute=loop"}},
      {"best_fit", {"train.packing=best-fit"}},
      {"guarded", {"train.skip_steps=2", "train.skip_deviations=3"}},
  };
  return all;
}

class ManyRanks : public testing::TestWithParam<size_t> {};
TEST_P(ManyRanks, two_train_as_one_does) {
  on_ranks(2, [](Ranks& ranks) { expect_alike(ranks, cases()[GetParam()].assignments, 2e-5); });
}
INSTANTIATE_TEST_SUITE_P(All, ManyRanks, testing::Range<size_t>(0, 10),
                         [](const auto& info) { return cases()[info.param].name; });

TEST(FourRanks, train_as_one_does) {
  on_ranks(4, [](Ranks& ranks) {
    for (const size_t i : {size_t{0}, size_t{1}, size_t{5}}) {
      expect_alike(ranks, cases()[i].assignments, 2e-5);
    }
  });
}

TEST(RankShare, whole_micro_batches_or_parts_of_them) {
  TrainConfig config;
  const auto share = [&](int64_t batch_size, int64_t grad_accum, int64_t ranks) {
    config.batch_size = batch_size;
    config.grad_accum = grad_accum;
    const RankShare share = rank_share(config, ranks);
    EXPECT_EQ(share.batch_size * share.grad_accum * ranks, batch_size * grad_accum);
    return std::pair(share.batch_size, share.grad_accum);
  };
  EXPECT_EQ(share(8, 4, 1), std::pair(int64_t{8}, int64_t{4}));
  EXPECT_EQ(share(8, 4, 2), std::pair(int64_t{8}, int64_t{2}));
  EXPECT_EQ(share(8, 1, 2), std::pair(int64_t{4}, int64_t{1}));
  EXPECT_EQ(share(8, 3, 2), std::pair(int64_t{6}, int64_t{2}));
  EXPECT_EQ(share(8, 2, 16), std::pair(int64_t{1}, int64_t{1}));
  const std::string text = error_of(ErrorKind::usage, [&] { share(8, 1, 3); });
  EXPECT_TRUE(contains(text, "3 ranks do not divide the 8 sequences of a step")) << text;
  EXPECT_TRUE(contains(text, "train.batch_size=9")) << text;
}

TEST(GradientSum, sends_during_the_backward_pass_and_counts_missing_gradients_as_zero) {
  on_ranks(2, [](Ranks& ranks) {
    ModelConfig config = tiny_run().model;
    Model model(config, at::kCPU);
    model.parameters.initialize(config, 1);
    const std::vector<TrainedTensor> trained = trained_tensors(model.parameters);
    GradientSum sum(model.parameters, ranks, /*bucket_bytes=*/1);
    EXPECT_EQ(sum.buckets(), static_cast<int64_t>(trained.size()));
    const double own = ranks.rank() + 1;
    // The last tensor, which is sent first, has no gradient on rank 1.
    const auto pass = [&] {
      Tensor loss = at::zeros({});
      for (const TrainedTensor& item : trained) {
        if (&item == &trained.back() && ranks.rank() == 1) continue;
        loss = loss + item.tensor.sum() * own;
      }
      loss.backward();
    };
    const int64_t before = ranks.volume().sum;
    pass();
    EXPECT_EQ(ranks.volume().sum, before);  // not the last pass
    sum.begin_last_pass();
    pass();
    EXPECT_EQ(ranks.volume().sum > before, ranks.rank() == 0);
    sum.finish();
    EXPECT_EQ(sum.overlapped(), ranks.rank() == 0 ? sum.buckets() : 0);
    int64_t bytes = 0;
    for (const TrainedTensor& item : trained) {
      const double expected = &item == &trained.back() ? 2.0 : 6.0;
      EXPECT_TRUE(item.tensor.grad().eq(expected).all().item<bool>()) << item.name;
      bytes += 4 * item.tensor.numel();
    }
    EXPECT_EQ(ranks.volume().sum - before, bytes);  // 2 (N−1)/N of them
  });
}

TEST(ManyRanksAtStart, differences_are_refused) {
  on_ranks(2, [](Ranks& ranks) {
    set_log_level(LogLevel::off);
    const Scratch scratch;
    write_small_shards(scratch / "shards", ranks.rank() == 0 ? 40 : 41);
    TrainOptions options = shared_run(scratch.path(), "run", {});
    options.ranks = &ranks;
    std::string text = error_of(ErrorKind::usage, [&] { train(options); });
    EXPECT_TRUE(contains(text, "rank 1 does not train what rank 0 trains")) << text;
    EXPECT_TRUE(contains(text, "data 1 = ")) << text;
    const Scratch other;
    write_small_shards(other / "shards", 40);
    options =
        shared_run(other.path(), "run", {ranks.rank() == 0 ? "train.lr=0.1" : "train.lr=0.2"});
    options.ranks = &ranks;
    text = error_of(ErrorKind::usage, [&] { train(options); });
    EXPECT_TRUE(contains(text, "lr = 0.1\", rank 1 \"lr = 0.2\"")) << text;
    options = shared_run(other.path(), "run", {"train.lr=0.1"});
    if (ranks.rank() == 0) train(options);
    options.resume = true;
    options.ranks = &ranks;
    text = error_of(ErrorKind::usage, [&] { train(options); });
    EXPECT_TRUE(contains(text, "rank 0 goes on with " + options.run.string())) << text;
    EXPECT_TRUE(contains(text, ", rank 1 begins it.")) << text;
  });
}

TEST(ManyRanksAtStop, a_wish_of_one_rank_is_the_wish_of_all) {
  on_ranks(3, [](Ranks& ranks) {
    TargetCount count{10 + ranks.rank(), 20};
    Wishes wishes;
    wishes.save = ranks.rank() == 1;
    agree_on_step(ranks, count, wishes);
    EXPECT_EQ(count.targets, 33);
    EXPECT_EQ(count.bytes, 60);
    EXPECT_TRUE(wishes.save);
    EXPECT_FALSE(wishes.stop);
  });
}

}  // namespace
}  // namespace mythos
