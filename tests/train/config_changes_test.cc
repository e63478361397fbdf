#include "train/config_changes.h"

#include "../scratch.h"
#include "base/strings.h"

namespace mythos {
namespace {

TEST(ConfigChanges, TellKeyAndBothValues) {
  Config before, after;
  after.model.dim = before.model.dim + 8;
  after.train.lr = 1e-4;
  after.train.packing = Packing::best_fit;
  EXPECT_EQ(describe(config_changes(before, after)),
            strprintf("model.dim = %d instead of %d, train.packing = \"best-fit\" instead of "
                      "\"contiguous\", train.lr = 1e-04 instead of 0.003",
                      after.model.dim, before.model.dim));
  EXPECT_TRUE(config_changes(before, before).empty());
}

TEST(ConfigChanges, WeightsAndTheOrderOfDataAreFixed) {
  Config before, after;
  after.train.lr = 1;
  after.train.steps = 7;
  after.train.batch_size = 3;
  after.train.document_mask = DocumentMask::on;
  EXPECT_TRUE(fixed_changes(before, after).empty());
  after.train.seed = 9;
  after.model.n_heads = 1;
  EXPECT_EQ(fixed_changes(before, after).size(), 2U);
  // The mask decides how much room a packed document takes.
  before.train.packing = after.train.packing = Packing::best_fit;
  before.train.document_mask = DocumentMask::off;
  EXPECT_EQ(fixed_changes(before, after).size(), 3U);
  before.train.document_mask = DocumentMask::automatic;
  EXPECT_EQ(fixed_changes(before, after).size(), 2U);
}

TEST(ConfigChanges, TheOptimizerIsFixed) {
  Config before, after;
  after.train.optimizer = Optimizer::muon;
  after.train.muon_lr = 0.1;
  ASSERT_EQ(fixed_changes(before, after).size(), 1U);
  EXPECT_EQ(fixed_changes(before, after)[0].key, "train.optimizer");
}

TEST(LearningRateJump, KnowsEverySchedule) {
  TrainConfig before;
  before.steps = 1000;
  before.warmup_steps = 100;
  before.schedule = Schedule::wsd;
  TrainConfig longer = before;
  longer.steps = 2000;
  EXPECT_EQ(learning_rate_jump(before, longer, 500), "");  // both are stable there
  EXPECT_NE(learning_rate_jump(before, longer, 900), "");  // back up from the decay
  before.schedule = longer.schedule = Schedule::inverse_sqrt;
  EXPECT_EQ(learning_rate_jump(before, longer, 1000), "");  // the length plays no part
  longer.warmup_steps = 200;
  EXPECT_NE(learning_rate_jump(before, longer, 500), "");
}

TEST(LearningRateJump, LooksAtMuonsRateToo) {
  TrainConfig before;
  before.optimizer = Optimizer::muon;
  before.schedule = Schedule::constant;
  TrainConfig after = before;
  after.muon_lr = 0.5 * before.muon_lr;
  EXPECT_EQ(learning_rate_jump(before, after, 500),
            "the learning rate of muon's matrices goes from 2.00e-02 at step 500 to 1.00e-02 at "
            "the next");
  before.optimizer = after.optimizer = Optimizer::adamw;
  EXPECT_EQ(learning_rate_jump(before, after, 500), "");
}

TEST(LearningRateJump, IsSaidWhereTheScheduleChanges) {
  TrainConfig before;
  before.steps = 1000;
  for (const int64_t step : {1, 2, 49, 500, 1000}) {
    EXPECT_EQ(learning_rate_jump(before, before, step), "") << step;
  }
  TrainConfig after = before;
  after.steps = 8000;
  EXPECT_EQ(learning_rate_jump(before, after, 1000),
            "the learning rate goes from 3.00e-04 at step 1000 to 2.91e-03 at the next");
  EXPECT_EQ(learning_rate_jump(before, after, 60), "");
  after = before;
  after.lr = before.lr / 2;
  EXPECT_NE(learning_rate_jump(before, after, 500), "");
  EXPECT_EQ(learning_rate_jump(before, after, 0), "");
}

}  // namespace
}  // namespace mythos
