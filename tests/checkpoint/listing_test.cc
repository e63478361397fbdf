#include "checkpoint/listing.h"

#include "../scratch.h"

namespace mythos {
namespace {

void write_step(const fs::path& run, const std::string& name, const std::string& state) {
  fs::create_directories(run / name);
  write_file_atomic(run / name / "state.json", state);
}

TEST(ListCheckpoints, TellsStateSizeAndTheBest) {
  const Scratch run;
  write_step(run.path(), "step-000020", R"({"step": 20, "tokens": 640})");
  write_step(run.path(), "step-000010", R"({"step": 10, "tokens": 320, "val_loss": 5.5})");
  write_file_atomic(run / "step-000010/more", "1234");
  fs::create_symlink("step-000010", run / "best");
  const auto found = list_checkpoints(run.path());
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].directory, run / "step-000010");
  EXPECT_EQ(found[0].tokens, 320);
  EXPECT_EQ(found[0].val_loss, 5.5);
  EXPECT_EQ(found[0].val_bpb, nullptr);
  EXPECT_EQ(found[0].bytes, 4 + fs::file_size(run / "step-000010/state.json"));
  EXPECT_TRUE(found[0].best);
  EXPECT_EQ(found[1].step, 20);
  EXPECT_FALSE(found[1].best);
}

TEST(ListCheckpoints, TakesTheNewestValidationUpToTheStep) {
  const Scratch run;
  write_step(run.path(), "step-000010", R"({"step": 10, "val_loss": 9.0})");
  write_step(run.path(), "step-000020", R"({"step": 20, "val_loss": 9.0})");
  write_step(run.path(), "step-000030", R"({"step": 30})");
  write_file_atomic(run / "metrics.jsonl",
                    "{\"step\": 12, \"val_loss\": 5.0, \"val_bpb\": 2.0}\n"
                    "{\"step\": 20, \"val_loss\": 4.0}\n"
                    "no JSON\n{\"step\": \"x\", \"val_loss\": 1}\n{\"step\": 29, \"loss\": 3.0}\n");
  const auto found = list_checkpoints(run.path());
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].val_loss, 9.0);  // validated in the state alone
  EXPECT_EQ(found[1].val_loss, 4.0);
  EXPECT_EQ(found[1].val_bpb, nullptr);
  EXPECT_EQ(found[2].val_loss, 4.0);
}

TEST(ListCheckpoints, ASpoiledStateLeavesGaps) {
  const Scratch run;
  write_step(run.path(), "step-000010", "[1, 2");
  const auto found = list_checkpoints(run / "step-000010");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].step, nullptr);
  EXPECT_EQ(found[0].tokens, nullptr);
}

TEST(ListCheckpoints, NoneIsAnError) {
  const Scratch run;
  EXPECT_EQ(error_of(ErrorKind::data, [&] { list_checkpoints(run.path()); }),
            run.path().string() + ": no checkpoint (a directory step-NNNNNN) is there");
}

}  // namespace
}  // namespace mythos
