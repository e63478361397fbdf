#include "run_memory.h"

#include <gtest/gtest.h>

#include "../ranks.h"
#include "../scratch.h"
#include "../small_data.h"

namespace mythos {
namespace {

// What presets take on a CPU in fp32, within 15% of the plan; tests/bench/plan_memory.py has more.
struct Case {
  std::string preset;
  int64_t batch_size = 1, loops = 1;
};

Config config_of(const Case& one, Recompute recompute) {
  Config config = load_preset(one.preset);
  config.train.compute_type = ComputeType::fp32;
  config.train.seq_len = 64;
  config.train.batch_size = one.batch_size;
  config.train.grad_accum = 1;
  config.train.recompute = recompute;
  return config;
}

std::string text_of(const Case& one, Recompute recompute, const RunMemory& memory) {
  return strprintf("%s, batch %d, %d loops, %s: planned %d, measured %d", one.preset,
                   one.batch_size, one.loops, std::string(enum_name(recompute)), memory.planned,
                   memory.measured);
}

TEST(RunMemory, of_presets_is_what_the_plan_says) {
  const Scratch scratch;
  write_small_shards(scratch / "shards", 100);
  for (const Case& one :
       {Case{"tiny", 1, 1}, Case{"tiny", 4, 4}, Case{"tiny", 12, 2}, Case{"mythos-1b-smoke", 1, 4},
        Case{"mythos-1b-smoke", 4, 16}, Case{"mythos-1b-smoke", 12, 2}, Case{"nano", 4, 8}}) {
    for (const Recompute recompute : {Recompute::none, Recompute::loop, Recompute::block}) {
      const RunMemory memory =
          run_memory(scratch.path(), config_of(one, recompute), one.loops, nullptr);
      EXPECT_NEAR(memory.ratio(), 1, 0.15) << text_of(one, recompute, memory);
    }
  }
}

class RankRunMemory : public testing::TestWithParam<Layout> {};
TEST_P(RankRunMemory, of_two_is_what_the_plan_says) {
  on_ranks(2, [](Ranks& ranks) {
    const Scratch scratch;
    write_small_shards(scratch / "shards", 100);
    for (const Case& one : {Case{"tiny", 2, 1}, Case{"tiny", 16, 4}, Case{"mythos-1b-smoke", 2, 2},
                            Case{"mythos-1b-smoke", 8, 8}}) {
      for (const Recompute recompute : {Recompute::none, Recompute::loop}) {
        Config config = config_of(one, recompute);
        config.train.layout = GetParam();
        const RunMemory memory = run_memory(scratch.path(), config, one.loops, &ranks);
        EXPECT_NEAR(memory.ratio(), 1, 0.15) << text_of(one, recompute, memory);
      }
    }
  });
}
INSTANTIATE_TEST_SUITE_P(Layouts, RankRunMemory,
                         testing::Values(Layout::replicated, Layout::sharded_optimizer,
                                         Layout::fully_sharded),
                         [](const auto& info) {
                           const std::string name(enum_name(info.param));
                           return name.substr(0, name.find('-'));
                         });

}  // namespace
}  // namespace mythos
