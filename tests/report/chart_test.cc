#include "report/chart.h"

#include <gtest/gtest.h>

#include <cmath>

namespace mythos {
namespace {

TEST(AxisTicks, AreRoundNumbersWithinTheRange) {
  EXPECT_EQ(axis_ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(axis_ticks(130, 980, 4), (std::vector<double>{500}));
  EXPECT_EQ(axis_ticks(3, 3, 5), (std::vector<double>{3}));
  for (const double high : {0.0013, 0.7, 4.0, 31.0, 1e6}) {
    const auto ticks = axis_ticks(0, high, 5);
    EXPECT_GE(ticks.size(), 3u) << high;
    EXPECT_LE(ticks.size(), 7u) << high;
    EXPECT_LE(ticks.back(), high * (1 + 1e-9));
  }
}

TEST(LineChart, DrawsEveryPointOfShortLinesAndThinsLongOnes) {
  Chart chart{"Loss", "nats", false, {{"a", 0, false, {{1, 3}, {2, 2}, {3, 1}}}}};
  const std::string svg = line_chart(chart);
  EXPECT_NE(svg.find("class=\"line run0\""), std::string::npos);
  const auto points = [](const std::string& text) {
    const size_t path = text.find("d=\"M");
    return 1 + std::count(text.begin() + static_cast<std::ptrdiff_t>(path),
                          text.begin() + static_cast<std::ptrdiff_t>(text.find('"', path + 3)),
                          'L');
  };
  EXPECT_EQ(points(svg), 3);
  chart.lines[0].points.clear();
  for (int i = 0; i < 10000; ++i) chart.lines[0].points.push_back({double(i), double(i % 7)});
  EXPECT_LE(points(line_chart(chart)), 400);
}

TEST(LineChart, OneSpikeDoesNotFlattenTheRest) {
  Chart chart{"Norm", "", false, {{"a", 0, false, {}}}};
  for (int i = 0; i < 300; ++i) chart.lines[0].points.push_back({double(i), 1 + i % 2 * 0.5});
  chart.lines[0].points[100].value = 1e9;
  EXPECT_EQ(line_chart(chart).find("1e+09"), std::string::npos);
  EXPECT_EQ(line_chart(chart).find("G<"), std::string::npos);
}

TEST(LineChart, IsNothingWithoutPoints) {
  EXPECT_EQ(line_chart({"Loss", "", false, {}}), "");
  EXPECT_EQ(share_chart("Depth", {}, {}), "");
}

TEST(ShareChart, ShadesByTheShareOfAStep) {
  const std::string svg = share_chart("Depth", {"1", "2"}, {{{1, 3}}, {{1, 1}}});
  EXPECT_NE(svg.find("opacity=0.750"), std::string::npos);
  EXPECT_NE(svg.find("opacity=0.250"), std::string::npos);
}

}  // namespace
}  // namespace mythos
