#include "config/layer_list.h"

#include "base/strings.h"
#include "config/field_value.h"

namespace mythos {

std::vector<int64_t> parse_layer_list(const std::string& text) {
  std::vector<int64_t> layers;
  if (trim(text).empty()) return layers;
  for (const std::string& word : split(text, ',')) {
    const std::optional<int64_t> layer = parse_int(trim(word));
    if (!layer || *layer < 0 || (!layers.empty() && *layer <= layers.back())) {
      fail_value(
          "", "model.value_embeddings", show(text),
          strprintf("\"%s\" is not the next layer; numbers from 0 in rising order, separated "
                    "by commas, as in \"1,3,5\"",
                    word));
    }
    layers.push_back(*layer);
  }
  return layers;
}

}  // namespace mythos
