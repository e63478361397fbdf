#include "report/run_page.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/strings.h"
#include "base/version.h"
#include "report/chart.h"

namespace mythos {
namespace {

// The colours are those of Okabe and Ito (2008), which people with any colour vision tell apart.
constexpr const char* kStyle = R"(
:root{--ink:#1b1f24;--soft:#5b6470;--line:#d8dde3;--page:#fff;--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#cc79a7;
--c4:#e69f00;--c5:#56b4e9;--c6:#7a5195;--c7:#6b6b6b}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#9aa4b0;--line:#343b44;--page:#14171b;--c0:#4aa8e0;
--c1:#f08a3c;--c2:#2fc79b;--c5:#86cdf3;--c6:#b48ad0;--c7:#a5a5a5}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:0 auto;max-width:1400px;padding:24px}
h1{font-size:22px;margin:0 0 16px}h2{font-size:16px;margin:28px 0 8px}
table{border-collapse:collapse;display:block;overflow-x:auto}
th,td{text-align:right;padding:4px 14px 4px 0;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:500}td:first-child,th:first-child{text-align:left}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(460px,100%),1fr));gap:20px 28px}
figure{margin:0}figcaption{font-weight:600}figcaption span{color:var(--soft);font-weight:400}
svg{width:100%;height:auto;display:block}.grid{stroke:var(--line)}.tick{fill:var(--soft);font-size:12px}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}.dashed.line{stroke-dasharray:5 4}.share{fill:var(--c0)}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px}.key::before{content:"";display:inline-block;
width:16px;border-top:2.5px solid;margin:0 6px 4px 0}.key.dashed::before{border-top-style:dashed}.key{color:var(--soft)}
.key b{color:var(--ink);font-weight:600}
pre{font-size:13px;overflow-x:auto;border:1px solid var(--line);padding:10px;border-radius:6px}
summary{cursor:pointer;color:var(--soft)}footer{margin-top:32px;color:var(--soft);font-size:13px}
)";

std::string colours() {
  std::string css;
  for (int i = 0; i < 8; ++i) {
    css += strprintf(".run%d{stroke:var(--c%d)}.key.run%d::before{border-color:var(--c%d)}", i, i,
                     i, i) +
           strprintf(".dot.run%d{fill:var(--c%d)}", i, i);
  }
  return css + "\n";
}

const std::vector<Point>* find(const RunMetrics& run, const std::string& name) {
  const auto found = run.series.find(name);
  return found == run.series.end() ? nullptr : &found->second;
}

std::string last_value(const RunMetrics& run, const std::string& name, Format<FormatKind::real> f) {
  const auto* points = find(run, name);
  return points ? strprintf(f, points->back().value) : "–";
}

std::string best_validation(const RunMetrics& run) {
  const auto* points = find(run, "val_loss");
  if (!points) return "–";
  const Point best = *std::ranges::min_element(*points, {}, &Point::value);
  return strprintf("%.4f at step %.0f", best.value, best.step);
}

std::string count_of(const RunMetrics& run, const std::string& name) {
  const auto* points = find(run, name);
  return points ? human_count(points->back().value) : "–";
}

std::string summary_table(const std::vector<RunMetrics>& runs) {
  std::string html =
      "<table><tr><th>run<th>step<th>tokens<th>loss<th>bits per byte<th>best validation loss"
      "<th>last validation, bits per byte<th>loops<th>tokens/s<th>time</tr>\n";
  for (const RunMetrics& run : runs) {
    double last = 0;
    for (const auto& [name, points] : run.series) last = std::max(last, points.back().step);
    const auto* seconds = find(run, "seconds");
    html += "<tr><td>" + html_text(run.name) + "<td>" + strprintf("%.0f", last) + "<td>" +
            count_of(run, "tokens") + "<td>" + last_value(run, "loss", "%.4f") + "<td>" +
            last_value(run, "bpb", "%.4f") + "<td>" + best_validation(run) + "<td>" +
            last_value(run, "val_bpb", "%.4f") + "<td>" + last_value(run, "mean_loops", "%.2f") +
            "<td>" + count_of(run, "tokens_per_second") + "<td>" +
            (seconds ? human_duration(seconds->back().value) : "–") + "</tr>\n";
  }
  return html + "</table>\n";
}

struct Wanted {
  std::string title, unit;
  std::vector<std::string> series;  // drawn in one chart; those after the first dashed
  bool logarithmic = false;
};

// What follows `prefix` in the names of the runs' series.
std::set<std::string> names_under(const std::vector<RunMetrics>& runs, const std::string& prefix) {
  std::set<std::string> names;
  for (const RunMetrics& run : runs) {
    for (const auto& [name, points] : run.series) {
      if (name.starts_with(prefix)) names.insert(name.substr(prefix.size()));
    }
  }
  return names;
}

std::string charts(const std::vector<RunMetrics>& runs) {
  std::vector<Wanted> wanted = {
      {"Loss", "nats per token; dashed: validation", {"loss", "val_loss"}},
      {"Bits per byte", "dashed: validation", {"bpb", "val_bpb"}},
      {"Gradient norm", "before clipping", {"grad_norm"}, true},
      {"Learning rate", "peak of the base group", {"lr"}},
      {"Loops", "mean of the interval", {"mean_loops"}},
      {"Throughput", "tokens per second", {"tokens_per_second"}},
      {"Model FLOPs utilisation", "share of the devices' peak", {"mfu"}},
      {"Waiting for data", "share of the time", {"data_wait"}},
      {"Padding", "share of the positions", {"padding"}},
      {"Loss scale", "fp16", {"loss_scale"}, true},
      {"Skipped steps", "since the run began", {"skipped_steps"}},
      {"Saved by halting", "share of the loops' FLOPs, while decoding", {"halting_saves"}},
  };
  for (const std::string& name : names_under(runs, "objectives/")) {
    wanted.push_back({"Objective " + name, "mean of a target", {"objectives/" + name}});
  }
  for (const std::string& layer : names_under(runs, "experts/most_loaded/")) {
    wanted.push_back({"Most loaded expert of core layer " + layer,
                      "multiple of the mean load",
                      {"experts/most_loaded/" + layer}});
    wanted.push_back({"Entropy of the experts' load, core layer " + layer,
                      "1: even",
                      {"experts/entropy/" + layer}});
  }
  std::string html;
  for (const Wanted& chart : wanted) {
    Chart drawn{chart.title, chart.unit, chart.logarithmic, {}};
    for (size_t i = 0; i < runs.size(); ++i) {
      for (const std::string& name : chart.series) {
        const bool dashed = name != chart.series.front();
        const auto* points = find(runs[i], name);
        if (points) {
          drawn.lines.push_back(
              {runs[i].name + (dashed ? ", validation" : ""), i, dashed, *points});
        }
      }
    }
    const bool quiet = std::ranges::all_of(drawn.lines, [](const ChartLine& line) {
      return std::ranges::all_of(line.points, [](const Point& point) { return point.value == 0; });
    });
    if (!quiet) html += line_chart(drawn);
  }
  return html;
}

// The loops at which a run's positions halted: series "depth/1", "depth/2", … as shares of a step.
std::string depth_chart(const RunMetrics& run) {
  std::vector<std::string> labels;
  std::vector<std::vector<Point>> rows;
  for (size_t i = 1;; ++i) {
    const auto* points = find(run, "depth/" + std::to_string(i));
    if (!points) break;
    labels.push_back(std::to_string(i));
    rows.push_back(*points);
  }
  return share_chart("Loops at which positions halted: " + run.name, labels, rows);
}

std::string record(const RunMetrics& run) {
  if (!run.record.is_object()) return {};
  std::string html = "<details><summary>" + html_text(run.name) +
                     ": command, environment and configuration</summary>\n";
  for (const auto& [key, value] : run.record.items()) {
    html += "<h2>" + html_text(key) + "</h2><pre>" +
            html_text(value.is_string() ? value.get<std::string>() : value.dump(2)) + "</pre>\n";
  }
  return html + "</details>\n";
}

}  // namespace

std::string run_page(const std::vector<RunMetrics>& runs) {
  std::vector<std::string> names;
  for (const RunMetrics& run : runs) names.push_back(run.name);
  const std::string title = html_text(join(names, ", "));
  std::string html = "<!doctype html><html lang=en><head><meta charset=utf-8><title>" + title +
                     "</title><meta name=viewport content=\"width=device-width\"><style>" + kStyle +
                     colours() + "</style></head><body>\n<h1>" + title + "</h1>\n" +
                     summary_table(runs) + "<h2>Curves</h2><div class=charts>\n" + charts(runs);
  for (const RunMetrics& run : runs) html += depth_chart(run);
  html += "</div>\n";
  for (const RunMetrics& run : runs) html += record(run);
  return html + "<footer>Written by " + "mythos " + html_text(version()) +
         " from metrics.jsonl.</footer></body></html>\n";
}

}  // namespace mythos
