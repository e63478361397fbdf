#include "data/sample/data_list.h"

#include <cmath>

#include "base/error.h"
#include "base/strings.h"

namespace mythos {

DataEntry parse_data_entry(const std::string& text) {
  const size_t colon = text.rfind(':');
  const auto weight =
      colon == std::string::npos ? std::nullopt : parse_double(text.substr(colon + 1));
  std::error_code status;
  if (!weight || colon == 0 || fs::is_directory(text, status)) return {text, std::nullopt};
  if (!(*weight > 0) || !std::isfinite(*weight)) {
    fail(ErrorKind::usage, "--data " + text + ": a weight is a number above 0");
  }
  return {text.substr(0, colon), weight};
}

std::vector<DataEntry> parse_data_list(const std::vector<std::string>& texts) {
  std::vector<DataEntry> list;
  for (const std::string& text : texts) {
    list.push_back(parse_data_entry(text));
    if (list.back().weight.has_value() == list.front().weight.has_value()) continue;
    const DataEntry& without = list.back().weight ? list.front() : list.back();
    fail(ErrorKind::usage,
         "--data " + without.directory.string() + ": it has no weight and others have one.",
         "Give each a weight "
         "(--data DIR:WEIGHT) or none");
  }
  return list;
}

}  // namespace mythos
