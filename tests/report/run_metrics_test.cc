#include "report/run_metrics.h"

#include "../scratch.h"
#include "report/run_page.h"

namespace mythos {
namespace {

using Json = nlohmann::ordered_json;

TEST(FlatNumbers, NamesWhatLiesInObjectsAndArrays) {
  const auto numbers = flat_numbers(Json::parse(
      R"({"step":5,"loss":2.5,"bad":null,"name":"x","objectives":{"next_token":2},"depth":[1,4]})"));
  const std::vector<std::pair<std::string, double>> expected = {
      {"loss", 2.5}, {"objectives/next_token", 2}, {"depth/1", 1}, {"depth/2", 4}};
  EXPECT_EQ(numbers, expected);
}

void make_run(const fs::path& run, const std::string& lines) {
  fs::create_directory(run);
  write_file_atomic(run / "metrics.jsonl", lines);
}

TEST(RunMetrics, ReadsSeriesAndPassesOverDamagedLines) {
  const Scratch scratch;
  make_run(scratch / "run",
           "{\"step\":1,\"loss\":3}\n{\"step\":2,\"lo\nnot\n"
           "{\"step\":2,\"loss\":2,\"val_loss\":2.5}\n");
  const RunMetrics metrics = read_run_metrics(scratch / "run/");
  EXPECT_EQ(metrics.name, "run");
  EXPECT_EQ(metrics.damaged_lines, 2);
  ASSERT_EQ(metrics.series.at("loss").size(), 2u);
  EXPECT_EQ(metrics.series.at("loss")[1].step, 2);
  EXPECT_EQ(metrics.series.at("loss")[1].value, 2);
  EXPECT_EQ(metrics.series.at("val_loss").size(), 1u);
}

TEST(RunMetrics, SaysWhatIsNoRun) {
  const Scratch scratch;
  const auto message = [](const fs::path& run) {
    return error_of(ErrorKind::data, [&] { read_run_metrics(run); });
  };
  fs::create_directory(scratch / "empty");
  EXPECT_NE(message(scratch / "empty").find("no metrics.jsonl"), std::string::npos);
  make_run(scratch / "young", "");
  EXPECT_NE(message(scratch / "young").find("no line of metrics"), std::string::npos);
}

TEST(RunPage, ShowsEachRunsNumbersAndEscapesTheirNames) {
  const Scratch scratch;
  make_run(scratch / "a<b",
           "{\"step\":1,\"loss\":3,\"depth\":[1,3]}\n{\"step\":9,\"loss\":1.25}\n");
  make_run(scratch / "c", "{\"step\":1,\"loss\":4,\"val_loss\":3.5}\n");
  write_file_atomic(scratch / "c" / "run.json", "{\"command\":\"mythos train --out <c>\"}");
  const std::string page =
      run_page({read_run_metrics(scratch / "a<b"), read_run_metrics(scratch / "c")});
  EXPECT_EQ(page.find("a<b"), std::string::npos);
  EXPECT_NE(page.find("a&lt;b"), std::string::npos);
  EXPECT_NE(page.find("1.2500"), std::string::npos);
  EXPECT_NE(page.find("3.5000 at step 1"), std::string::npos);
  EXPECT_NE(page.find("mythos train --out &lt;c&gt;"), std::string::npos);
  EXPECT_NE(page.find("class=share"), std::string::npos);
  EXPECT_NE(page.find("class=\"line run1 dashed\""), std::string::npos);
  for (const char* remote : {"http://", "https://", "<script", "src="}) {
    EXPECT_EQ(page.find(remote), std::string::npos) << remote;
  }
}

}  // namespace
}  // namespace mythos
