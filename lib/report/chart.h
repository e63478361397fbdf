#pragma once
#include <string>
#include <vector>

#include "report/run_metrics.h"

// Charts as SVG, coloured by the classes that run_page.cc styles: "run0" to "run7" for the runs in
// turn.
namespace mythos {

struct ChartLine {
  std::string label;
  size_t run = 0;  // whose colour it has
  bool dashed = false;
  std::vector<Point> points;
};

struct Chart {
  std::string title, unit;
  bool logarithmic = false;  // the vertical axis, where all values are above 0
  std::vector<ChartLine> lines;
};

// Round numbers that divide lowest…highest into about `count` parts.
std::vector<double> axis_ticks(double lowest, double highest, int count);

// Lines over steps. Long lines are drawn as means over neighbouring points; the vertical axis
// covers the values but for the outermost hundredth on each side, so that one spike does not
// flatten the rest. Empty if there is no point.
std::string line_chart(const Chart& chart);

// Shares of a whole at each step as a column of shades: one row for each of `rows` series, the
// first at the bottom.
std::string share_chart(const std::string& title, const std::vector<std::string>& labels,
                        const std::vector<std::vector<Point>>& rows);

// Text as HTML shows it.
std::string html_text(std::string_view text);

}  // namespace mythos
