#pragma once
#include <string>
#include <vector>

#include "report/run_metrics.h"

namespace mythos {

// One HTML page about training runs, side by side: what they were, and their curves. It needs
// nothing from elsewhere: no script, font or picture.
std::string run_page(const std::vector<RunMetrics>& runs);

}  // namespace mythos
