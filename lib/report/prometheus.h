#pragma once
#include <string>
#include <utility>
#include <vector>

namespace mythos {

// The numbers as gauges in Prometheus' text format (exposition format 0.0.4), for node_exporter's
// textfile collector: "objectives/next_token" becomes mythos_objectives_next_token{run="NAME"}.
std::string prometheus_text(const std::string& run, int64_t step,
                            const std::vector<std::pair<std::string, double>>& numbers);

}  // namespace mythos
