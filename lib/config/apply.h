#pragma once
#include <string>
#include <vector>

#include "config/config.h"
#include "config/field_value.h"

namespace mythos {

// Sets the one field that the entry names; an entry without a table looks in all of them, one
// without a key only asks that the table exists. Fails (usage) on a name that does not exist, with
// a suggestion.
void apply(Config& config, const Entry& entry);

// "model.dim", … of every field.
std::vector<std::string> all_keys();

}  // namespace mythos
