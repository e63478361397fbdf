#include "base/timing.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

using nlohmann::ordered_json;

std::vector<Measurement> two() {
  return {{"encode", {0.5, 2.0, 1.0}, {{"bytes", 3e6}, {"tokens", 1000}}},
          {"open, \"cold\"", {0.002, 0.004}, {{"tokens", 6}}}};
}

std::string formatted(BenchFormat format) {
  return format_bench({"tokenize", {{"cpu", "a, b"}, {"threads", 2}}, two()}, format);
}

TEST(Timing, MedianAndMinimum) {
  EXPECT_EQ(two()[0].median_seconds(), 1.0);
  EXPECT_EQ(two()[0].min_seconds(), 0.5);
  EXPECT_EQ(two()[1].median_seconds(), 0.003) << "the middle of an even number of samples";
  EXPECT_EQ(Measurement{}.median_seconds(), 0);
}

TEST(Timing, MeasuresInTurnAfterWarmingUp) {
  std::string order;
  const std::function<void()> both[] = {[&] { order += 'a'; }, [&] { order += 'b'; }};
  const auto seconds = measure_in_turn(1, 3, both);
  EXPECT_EQ(order, "abababab");
  ASSERT_EQ(seconds.size(), 2u);
  EXPECT_EQ(seconds[1].size(), 3u);
  EXPECT_EQ(measure(2, 5, [&] { order += 'c'; }).size(), 5u);
  EXPECT_EQ(order, "ababababccccccc");
}

TEST(Timing, Table) {
  EXPECT_EQ(formatted(BenchFormat::table),
            "cpu                  a, b\n"
            "threads              2\n"
            "\n"
            "                  median         min        MB/s    tokens/s\n"
            "encode           1.000 s   500.00 ms         3.0      1.00 K\n"
            "open, \"cold\"     3.00 ms     2.00 ms                  2.00 K\n");
}

TEST(Timing, Markdown) {
  EXPECT_EQ(formatted(BenchFormat::markdown),
            "- cpu: a, b\n- threads: 2\n\n"
            "|  | median | min | MB/s | tokens/s |\n"
            "| --- | ---: | ---: | ---: | ---: |\n"
            "| encode | 1.000 s | 500.00 ms | 3.0 | 1.00 K |\n"
            "| open, \"cold\" | 3.00 ms | 2.00 ms |  | 2.00 K |\n");
}

TEST(Timing, Csv) {
  EXPECT_EQ(formatted(BenchFormat::csv),
            "subject,cpu,threads,name,samples,median_seconds,min_seconds,bytes,bytes_per_second,"
            "tokens,tokens_per_second\n"
            "tokenize,\"a, b\",2,encode,3,1,0.5,3000000,3e+06,1000,1000\n"
            "tokenize,\"a, b\",2,\"open, \"\"cold\"\"\",2,0.003,0.002,,,6,2000\n");
}

TEST(Timing, ValuesStandBehindTheRates) {
  std::vector<Measurement> rows = two();
  rows[0].values = {{"loops", 8}, {"memory_bytes", 3 << 20}, {"gemm_share", 0.256}};
  const BenchResult result{"train", {{"threads", 2}}, rows};
  EXPECT_EQ(format_bench(result, BenchFormat::table),
            "threads              2\n"
            "\n"
            "                  median         min        MB/s    tokens/s       loops      memory  "
            "gemm share\n"
            "encode           1.000 s   500.00 ms         3.0      1.00 K           8     3.0 MiB  "
            "     25.6%\n"
            "open, \"cold\"     3.00 ms     2.00 ms                  2.00 K\n");
  EXPECT_NE(format_bench(result, BenchFormat::csv)
                .find("tokens,tokens_per_second,loops,memory_bytes,gemm_share\n"
                      "train,2,encode,3,1,0.5,3000000,3e+06,1000,1000,8,3145728,0.256\n"),
            std::string::npos);
  const ordered_json json = ordered_json::parse(format_bench(result, BenchFormat::json));
  EXPECT_EQ(json["measurements"][0]["values"]["loops"], 8);
  EXPECT_FALSE(json["measurements"][1].contains("values"));
}

TEST(Timing, SlowRatesKeepTheirDigits) {
  const BenchResult result{"decode", {}, {{"a", {8.0}, {{"tokens", 10}}}}};
  EXPECT_NE(format_bench(result, BenchFormat::table).find("      1.25\n"), std::string::npos);
}

TEST(Timing, JsonHasTheRawSamples) {
  const ordered_json json = ordered_json::parse(formatted(BenchFormat::json));
  EXPECT_EQ(json["schema"], "mythos.bench/1");
  EXPECT_EQ(json["subject"], "tokenize");
  EXPECT_EQ(json["facts"]["threads"], 2);
  EXPECT_EQ(json["measurements"][0]["seconds"], (std::vector<double>{0.5, 2.0, 1.0}));
  EXPECT_EQ(json["measurements"][0]["per_second"]["tokens"], 1000.0);
  EXPECT_EQ(json["measurements"][1]["amounts"], (ordered_json{{"tokens", 6.0}}));

  const std::string text = formatted(BenchFormat::jsonl);
  const std::vector<std::string> lines = split(text, '\n');
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[2], "");
  const ordered_json row = ordered_json::parse(lines[1]);
  EXPECT_EQ(row["schema"], "mythos.bench-row/1");
  EXPECT_EQ(row["facts"]["cpu"], "a, b");
  EXPECT_EQ(row["name"], "open, \"cold\"");
}

TEST(Timing, FormatsByName) {
  EXPECT_EQ(parse_bench_format("csv"), BenchFormat::csv);
  EXPECT_THROW(parse_bench_format("xml"), Error);
}

TEST(Timing, PeakMemoryGrowsWithUse) {
  const uint64_t before = peak_memory_bytes();
  ASSERT_GT(before, 0u);
  std::vector<char> block(before + (64 << 20), 1);
  EXPECT_GE(peak_memory_bytes() - before, block.size() / 2);
}

TEST(Timing, PeakMemoryStartsAnew) {
  // Mapped, since an allocator may keep what is freed.
  const uint64_t size = peak_memory_bytes() + (64 << 20);
  void* block =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  ASSERT_NE(block, MAP_FAILED);
  ASSERT_EQ(munmap(block, size), 0);
  const uint64_t peak = peak_memory_bytes();
  reset_peak_memory();
  if (peak_memory_bytes() == peak) GTEST_SKIP() << "/proc/self/clear_refs cannot be written here";
  EXPECT_LE(peak_memory_bytes(), peak - (48 << 20));
}

TEST(Timing, MachineFacts) {
  const ordered_json facts = machine_facts();
  EXPECT_GE(facts["cores"], 1);
  EXPECT_FALSE(facts["cpu"].get<std::string>().empty());
}

}  // namespace
}  // namespace mythos
