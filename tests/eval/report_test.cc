#include "eval/report.h"

#include <gtest/gtest.h>

#include <cmath>

#include <nlohmann/json.hpp>

#include "../scratch.h"

namespace mythos {
namespace {

EvalReport sample() {
  EvalReport report;
  report.checkpoint = "runs/a/step-000100";
  report.split = "val";
  report.step = 100;
  report.loops = {{1, 1000, 2500, 3200, 0.5}, {4, 1000, 2500, 3000, 1}, {8, 1000, 2500, 3000, 2}};
  report.unigram = Likelihood{0, 1000, 2500, 5000, 0.1};
  return report;
}

TEST(EvalReport, TheBestOfEqualsHasFewerLoops) {
  EXPECT_EQ(sample().best(), 1U);
}

TEST(EvalReport, WhatIsNotFiniteIsNeverTheBest) {
  EvalReport report = sample();
  EXPECT_EQ(report.nonfinite_rows(), "");
  report.loops[0].nats = report.loops[1].nats = NAN;
  EXPECT_EQ(report.best(), 2U);
  EXPECT_EQ(report.nonfinite_rows(), "1, 4 loops");
  EXPECT_EQ(to_json(report).at("best_loops"), 8);
  report.loops[2].nats = INFINITY;
  report.untrained = Likelihood{2, 1000, 2500, NAN, 0.1};
  EXPECT_FALSE(report.best().has_value());
  EXPECT_FALSE(contains(eval_table(report), "best"));
  EXPECT_TRUE(to_json(report).at("best_loops").is_null());
  EXPECT_EQ(to_json(report).at("tokens"), 1000);
  EXPECT_EQ(report.nonfinite_rows(), "1, 4, 8 loops and of the untrained model");
}

TEST(EvalReport, Table) {
  EXPECT_EQ(eval_table(sample()),
            "loops                  loss   perplexity  bits/byte   tokens/s\n"
            "1                    3.2000       24.533     1.8466     2.00 K\n"
            "4                    3.0000       20.086     1.7312     1.00 K  best\n"
            "8                    3.0000       20.086     1.7312        500\n"
            "unigram              5.0000      148.413     2.8854    10.00 K\n");
}

TEST(EvalReport, Json) {
  const nlohmann::ordered_json json = to_json(sample());
  EXPECT_EQ(json.at("schema"), "mythos.eval/1");
  EXPECT_EQ(json.at("best_loops"), 4);
  EXPECT_EQ(json.at("packing"), "contiguous");
  EXPECT_EQ(json.at("tokens"), 1000);
  EXPECT_EQ(json.at("loops").size(), 3U);
  EXPECT_EQ(json.at("loops")[2].at("loops"), 8);
  EXPECT_DOUBLE_EQ(json.at("loops")[0].at("loss"), 3.2);
  EXPECT_TRUE(json.contains("unigram"));
  EXPECT_FALSE(json.at("unigram").contains("loops"));
  EXPECT_FALSE(json.contains("untrained"));
}

TEST(EvalReport, OverlappingWindowsBesideThePlainOnes) {
  EvalReport report = sample();
  EXPECT_FALSE(to_json(report).contains("stride"));
  EXPECT_FALSE(to_json(report).at("loops")[0].contains("sliding"));
  report.loops.pop_back();
  report.unigram.reset();
  report.stride = 64;
  report.sliding = {{1, 1000, 2500, 3100, 1}, {4, 1000, 2500, 2900, 2}};
  EXPECT_EQ(eval_table(report),
            "loops                  loss   perplexity  bits/byte   tokens/s\n"
            "1                    3.2000       24.533     1.8466     2.00 K\n"
            "1, stride 64         3.1000       22.198     1.7889     1.00 K\n"
            "4                    3.0000       20.086     1.7312     1.00 K  best\n"
            "4, stride 64         2.9000       18.174     1.6735        500\n");
  const nlohmann::ordered_json json = to_json(report);
  EXPECT_EQ(json.at("stride"), 64);
  EXPECT_DOUBLE_EQ(json.at("loops")[1].at("loss"), 3.0);
  EXPECT_DOUBLE_EQ(json.at("loops")[1].at("sliding").at("loss"), 2.9);
  EXPECT_FALSE(json.at("loops")[1].at("sliding").contains("loops"));
}

TEST(EvalReport, LoopsRunAndFlopsSavedWhereTokensHalt) {
  EvalReport report = sample();
  report.unigram.reset();
  report.loops = {{2, 1000, 2500, 3200, 0.5, {0, 1000}, 0},
                  {4, 1000, 2500, 3000, 1, {0, 731, 269, 0}, 0.25}};
  EXPECT_EQ(eval_table(report),
            "loops                  loss   perplexity  bits/byte   tokens/s\n"
            "2                    3.2000       24.533     1.8466     2.00 K\n"
            "4                    3.0000       20.086     1.7312     1.00 K  best\n"
            "\n"
            "loops              mean run  FLOPs saved  tokens by loops run\n"
            "2                     2.000         0.0%  2: 100.0%\n"
            "4                     2.269        25.0%  2: 73.1%  3: 26.9%\n");
  const nlohmann::ordered_json json = to_json(report);
  EXPECT_EQ(json.at("loops")[1].at("loops_run"), (std::vector<int64_t>{0, 731, 269, 0}));
  EXPECT_DOUBLE_EQ(json.at("loops")[1].at("mean_loops"), 2.269);
  EXPECT_DOUBLE_EQ(json.at("loops")[1].at("flops_saved"), 0.25);
  EXPECT_FALSE(to_json(sample()).at("loops")[0].contains("loops_run"));
}

// A model that has blown up: e^128 in the column of the others.
TEST(EvalReport, AHugePerplexityKeepsItsColumn) {
  EvalReport report = sample();
  report.unigram.reset();
  report.untrained.reset();
  report.loops = {{2, 1000, 2500, 128000, 0.5}};
  EXPECT_EQ(eval_table(report),
            "loops                  loss   perplexity  bits/byte   tokens/s\n"
            "2                  128.0000    3.888e+55    73.8660     2.00 K\n");
}

TEST(EvalReport, HeadingTellsWhatWasMeasured) {
  EvalReport report = sample();
  report.checkpoint = "runs/x/step-000007";
  report.data = "shards";
  report.split = "train";
  report.seq_len = 64;
  report.loops = {{2, 12345, 50000, 1, 1}};
  EXPECT_EQ(eval_heading(report),
            "runs/x/step-000007 on the train split of shards: 12,345 tokens, 50,000 bytes, windows "
            "of 64");
  report.stride = 16;
  EXPECT_TRUE(eval_heading(report).ends_with("windows of 64, then one every 16 tokens"));
  report.packing = Packing::best_fit;
  EXPECT_TRUE(contains(eval_heading(report), "windows of 64 with documents apart, then one"));
}

TEST(EvalReport, Decoding) {
  EvalReport report = sample();
  EXPECT_FALSE(to_json(report).contains("decode"));
  EXPECT_FALSE(to_json(report).at("loops")[0].contains("cache_bytes_per_token"));
  report.compute_type = "fp32";
  report.decode.emplace();
  report.decode->weights = WeightFormat::int4;
  report.decode->cache.sharing = CacheSharing::average;
  report.decode->exit = ExitRule::kl;
  report.decode->exit_threshold = 0.01;
  report.weight_bytes = 3 << 20;
  report.loops = {{1, 1000, 2500, 3200, 0.5, {1000}, 0, 960},
                  {4, 1000, 2500, 3000, 1, {0, 731, 269, 0}, -0.25, 1056}};
  EXPECT_TRUE(
      contains(eval_table(report),
               "\nweights  int4, 3.0 MiB\n"
               "cache    fp32, average; a token at so many loops: 960 B at 1, 1.0 KiB at 4\n"
               "exit     kl below 0.01\n"));
  const nlohmann::ordered_json json = to_json(report);
  EXPECT_EQ(json.at("decode").dump(),
            R"({"weights":"int4","weight_bytes":3145728,"cache_type":"fp32",)"
            R"("cache_sharing":"average","exit":"kl","exit_threshold":0.01})");
  EXPECT_EQ(json.at("loops")[1].at("cache_bytes_per_token"), 1056);
  report.decode = DecodeConfig{};
  report.decode->cache.type = CacheType::int8;
  EXPECT_EQ(to_json(report).at("decode").at("cache_type"), "int8");
  EXPECT_FALSE(to_json(report).at("decode").contains("exit_threshold"));
  EXPECT_FALSE(contains(eval_table(report), "\nexit "));
}

}  // namespace
}  // namespace mythos
