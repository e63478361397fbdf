#pragma once
#include <map>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/field_value.h"

namespace mythos {

// Sets the field that the entry names. An entry without a table is looked up in all tables; an
// entry without a key only asks that the table exists. Fails (usage), with a suggestion, on a name
// that does not exist.
void apply(Config& config, const Entry& entry);

// The qualified names of all fields: "model.dim", ….
std::vector<std::string> all_keys();

// The sources of keys' values, by qualified name.
using KeySources = std::map<std::string, std::string>;
// What to_toml() writes. With `sources` a [decode] of defaults is written too, and each line of a
// key that has a source ends with it in brackets, within the comment.
std::string toml_text(const Config& config, bool comments, const KeySources* sources);

}  // namespace mythos
