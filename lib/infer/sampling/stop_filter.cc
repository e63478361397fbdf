#include "infer/sampling/stop_filter.h"

#include <algorithm>

namespace mythos {
namespace {

// Length of the longest end of `text` that is a proper beginning of `stop`.
size_t partial_match(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (text.ends_with(stop.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

StopFilter::StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, std::string());
}

std::string StopFilter::push(std::string_view text) {
  if (stopped_) return {};
  pending_ += text;
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t found = pending_.find(stop);
    if (found >= first) continue;
    first = found;
    matched_ = stop;
  }
  stopped_ = first != std::string::npos;
  size_t held = 0;
  if (!stopped_) {
    for (const std::string& stop : stops_) held = std::max(held, partial_match(pending_, stop));
    first = pending_.size() - held;
  }
  std::string shown = pending_.substr(0, first);
  pending_.erase(0, stopped_ ? std::string::npos : first);
  return shown;
}

std::string StopFilter::finish() {
  std::string rest;
  rest.swap(pending_);
  return rest;
}

}  // namespace mythos
