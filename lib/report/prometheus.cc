#include "report/prometheus.h"

#include <cctype>

#include "base/format.h"

namespace mythos {
namespace {

std::string gauge_name(const std::string& name) {
  std::string out = "mythos_";
  for (const char c : name) {
    out += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  }
  return out;
}

std::string label_value(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out;
}

}  // namespace

std::string prometheus_text(const std::string& run, int64_t step,
                            const std::vector<std::pair<std::string, double>>& numbers) {
  const std::string label = "{run=\"" + label_value(run) + "\"} ";
  std::string text = "# TYPE mythos_step gauge\nmythos_step" + label + std::to_string(step) + "\n";
  for (const auto& [name, number] : numbers) {
    const std::string gauge = gauge_name(name);
    text += "# TYPE " + gauge + " gauge\n" + gauge + label + strprintf("%.9g", number) + "\n";
  }
  return text;
}

}  // namespace mythos
