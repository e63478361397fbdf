#include "arch/section.h"

#include <algorithm>

#include "config/layer_list.h"

namespace mythos {

bool has_value_embedding(const ModelConfig& c, const LayerId& layer) {
  if (c.value_embeddings.empty()) return false;
  int64_t number = layer.index;
  if (layer.section != Section::prelude) number += c.prelude_layers;
  if (layer.section == Section::coda) number += c.core_layers;
  const std::vector<int64_t> layers = parse_layer_list(c.value_embeddings);
  return std::ranges::find(layers, number) != layers.end();
}

}  // namespace mythos
