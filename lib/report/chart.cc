#include "report/chart.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace mythos {
namespace {

constexpr double kWidth = 640, kHeight = 260, kLeft = 58, kRight = 16, kTop = 14, kBottom = 34;
constexpr size_t kMostPoints = 400;

// A position in the drawing, in tenths.
std::string at(double position) {
  return strprintf("%.1f", position);
}

std::string number_text(double value) {
  const double size = std::abs(value);
  if (size < 1e-12) return "0";
  for (const auto& [unit, letter] : {std::pair(1e12, "T"), {1e9, "B"}, {1e6, "M"}, {1e3, "K"}}) {
    if (size >= 10 * unit || (size >= unit && unit > 1e3)) {
      return strprintf("%.4g%s", value / unit, letter);
    }
  }
  return size && size < 1e-3 ? strprintf("%.0e", value) : strprintf("%.4g", value);
}

// An axis from values to positions.
struct Axis {
  double low = 0, high = 1, from = 0, to = 1;
  bool logarithmic = false;

  double scaled(double value) const { return logarithmic ? std::log10(value) : value; }
  double operator()(double value) const {
    const double share = (scaled(value) - scaled(low)) / (scaled(high) - scaled(low));
    return from + std::clamp(share, 0.0, 1.0) * (to - from);
  }
};

std::vector<double> ticks_of(const Axis& axis) {
  if (!axis.logarithmic) return axis_ticks(axis.low, axis.high, 5);
  std::vector<double> ticks;
  const bool wide = axis.high / axis.low > 300;
  for (double decade = std::pow(10, std::floor(std::log10(axis.low))); decade <= axis.high;
       decade *= 10) {
    for (const double step : {1.0, 2.0, 5.0}) {
      const double tick = decade * step;
      if ((!wide || step == 1) && tick >= axis.low && tick <= axis.high) ticks.push_back(tick);
    }
  }
  return ticks.size() >= 2 ? ticks : axis_ticks(axis.low, axis.high, 4);
}

// Means over equal numbers of neighbouring points.
std::vector<Point> thinned(const std::vector<Point>& points) {
  const size_t group = (points.size() + kMostPoints - 1) / kMostPoints;
  if (group <= 1) return points;
  std::vector<Point> means;
  for (size_t first = 0; first < points.size(); first += group) {
    const size_t count = std::min(group, points.size() - first);
    Point mean;
    for (size_t i = first; i < first + count; ++i) {
      mean.step += points[i].step / static_cast<double>(count);
      mean.value += points[i].value / static_cast<double>(count);
    }
    means.push_back(mean);
  }
  return means;
}

Axis step_axis(double first, double last) {
  return {first, std::max(last, first + 1), kLeft, kWidth - kRight};
}

// Covers the values of all lines but the outermost hundredth of each side.
Axis value_axis(const Chart& chart) {
  std::vector<double> values;
  for (const ChartLine& line : chart.lines) {
    for (const Point& point : line.points) values.push_back(point.value);
  }
  std::ranges::sort(values);
  const size_t cut = values.size() / 100;
  Axis axis{values[cut], values[values.size() - 1 - cut], kHeight - kBottom, kTop};
  axis.logarithmic = chart.logarithmic && values.front() > 0;
  const double margin = std::max((axis.high - axis.low) * 0.05, std::abs(axis.high) * 1e-3);
  if (axis.logarithmic) {
    axis.low /= 1.05;
    axis.high *= 1.05;
  } else {
    axis.low = axis.low >= 0 ? std::max(0.0, axis.low - margin) : axis.low - margin;
    axis.high += margin > 0 ? margin : 1;
  }
  return axis;
}

std::string step_ticks(const Axis& x) {
  std::string svg;
  for (const double tick : axis_ticks(x.low, x.high, 6)) {
    svg += "<text class=tick text-anchor=middle x=" + at(x(tick)) + " y=" + at(kHeight - 16) + ">" +
           number_text(tick) + "</text>";
  }
  return svg;
}

std::string axes(const Axis& x, const Axis& y, const std::vector<double>& y_ticks) {
  std::string svg;
  for (const double tick : y_ticks) {
    svg += "<line class=grid x1=" + at(kLeft) + " x2=" + at(kWidth - kRight) +
           " y1=" + at(y(tick)) + " y2=" + at(y(tick)) +
           " /><text class=tick text-anchor=end x=" + at(kLeft - 6) + " y=" + at(y(tick) + 4) +
           ">" + number_text(tick) + "</text>";
  }
  svg += step_ticks(x);
  return svg + "<text class=tick text-anchor=end x=" + at(kWidth - kRight) +
         " y=" + at(kHeight - 3) + ">step</text>";
}

std::string begin_figure(const std::string& title, const std::string& note) {
  return "<figure><figcaption>" + html_text(title) +
         (note.empty() ? "" : " <span>" + html_text(note) + "</span>") +
         "</figcaption><svg viewBox=\"0 0 " + at(kWidth) + " " + at(kHeight) +
         "\" role=img aria-label=\"" + html_text(title) + "\">";
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::vector<double> axis_ticks(double lowest, double highest, int count) {
  if (!(highest > lowest)) return {lowest};
  const double rough = (highest - lowest) / count;
  const double decade = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * decade;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * decade >= rough * 0.99) step = factor * decade;
  }
  std::vector<double> ticks;
  for (double i = std::ceil(lowest / step - 1e-9); i * step <= highest + step * 1e-9; ++i) {
    ticks.push_back(i * step);
  }
  return ticks;
}

std::string line_chart(const Chart& chart) {
  double first = HUGE_VAL, last = -HUGE_VAL;
  for (const ChartLine& line : chart.lines) {
    for (const Point& point : line.points) {
      first = std::min(first, point.step);
      last = std::max(last, point.step);
    }
  }
  if (first > last) return {};
  const Axis x = step_axis(first, last), y = value_axis(chart);
  std::string svg = begin_figure(chart.title, chart.unit) + axes(x, y, ticks_of(y)), legend;
  for (const ChartLine& line : chart.lines) {
    if (line.points.empty()) continue;
    const std::string style = "run" + std::to_string(line.run % 8) + (line.dashed ? " dashed" : "");
    std::string path;
    for (const Point& point : thinned(line.points)) {
      path += (path.empty() ? "M" : "L") + at(x(point.step)) + " " + at(y(point.value));
    }
    const Point& end = line.points.back();
    svg += "<path class=\"line " + style + "\" d=\"" + path + "\"><title>" + html_text(line.label) +
           ": " + number_text(end.value) + " at step " + number_text(end.step) + "</title></path>";
    if (line.points.size() == 1) {
      svg += "<circle class=\"dot " + style + "\" r=3 cx=" + at(x(end.step)) +
             " cy=" + at(y(end.value)) + " />";
    }
    legend += "<span class=\"key " + style + "\">" + html_text(line.label) + " <b>" +
              number_text(end.value) + "</b></span>";
  }
  return svg + "</svg><div class=legend>" + legend + "</div></figure>\n";
}

std::string share_chart(const std::string& title, const std::vector<std::string>& labels,
                        const std::vector<std::vector<Point>>& rows) {
  std::vector<std::vector<Point>> drawn;
  size_t columns = 0;
  for (const std::vector<Point>& row : rows) {
    drawn.push_back(thinned(row));
    columns = std::max(columns, drawn.back().size());
  }
  if (columns == 0) return {};
  std::string svg = begin_figure(title, "darker: a larger share of a step");
  const double width = (kWidth - kLeft - kRight) / static_cast<double>(columns);
  const double height = (kHeight - kTop - kBottom) / static_cast<double>(drawn.size());
  for (size_t column = 0; column < columns; ++column) {
    double total = 0;
    for (const auto& row : drawn) total += column < row.size() ? row[column].value : 0;
    for (size_t row = 0; row < drawn.size() && total > 0; ++row) {
      const double share = column < drawn[row].size() ? drawn[row][column].value / total : 0;
      if (share < 0.002) continue;
      svg += "<rect class=share x=" + at(kLeft + static_cast<double>(column) * width) +
             " y=" + at(kHeight - kBottom - static_cast<double>(row + 1) * height) +
             " width=" + at(width + 0.2) + " height=" + at(height) +
             " opacity=" + strprintf("%.3f", share) + " />";
    }
  }
  const size_t every = (drawn.size() + 11) / 12;
  for (size_t row = 0; row < drawn.size(); row += every) {
    svg += "<text class=tick text-anchor=end x=" + at(kLeft - 6) +
           " y=" + at(kHeight - kBottom - (static_cast<double>(row) + 0.5) * height + 4) + ">" +
           html_text(labels[row]) + "</text>";
  }
  const std::vector<Point>& steps = *std::ranges::max_element(
      drawn, {}, [](const std::vector<Point>& row) { return row.size(); });
  const Axis x = step_axis(steps.front().step, steps.back().step);
  svg += step_ticks(x);
  return svg + "</svg></figure>\n";
}

}  // namespace mythos
