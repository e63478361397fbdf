#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace mythos {

// The layers that model.value_embeddings names, such as "1,3,5"; none if it is empty. Fails
// (usage), naming the key, unless they are whole numbers from 0 in rising order.
std::vector<int64_t> parse_layer_list(const std::string& text);

}  // namespace mythos
