#include "text/hf/hf_special_files.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/strings.h"
#include "text/hf/hf_json.h"

namespace mythos {
namespace {

using nlohmann::json;

std::optional<HfSpecialName> read_name(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return std::nullopt;
  const json& value = found->is_object() ? found->value("content", json()) : *found;
  if (!value.is_string() || value.get_ref<const std::string&>().empty()) return std::nullopt;
  return HfSpecialName{value.get<std::string>(), std::nullopt, "", ""};
}

std::optional<HfSpecialName> read_id(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return std::nullopt;
  const json& value = found->is_array() && !found->empty() ? found->front() : *found;
  if (!HfJson::is_id(value)) return std::nullopt;
  return HfSpecialName{"", value.get<uint32_t>(), "", ""};
}

// Takes BOS and EOS from a file if they are not known yet.
void add(const fs::path& file, bool by_id, HfSpecialNames& names) {
  std::error_code status;
  if (!fs::is_regular_file(file, status)) return;
  const json object = parse_hf_json(read_file(file), file.string());
  if (!object.is_object()) {
    fail(ErrorKind::data, file.string() + ": expected a JSON object");
  }
  const auto fill = [&](std::optional<HfSpecialName>& special, const std::string& key) {
    if (special) return;
    special = by_id ? read_id(object, key.c_str()) : read_name(object, key.c_str());
    if (!special) return;
    special->source = file.string();
    special->shown = key + " " + HfJson(object[key], "", "").shown();
  };
  fill(names.bos, by_id ? "bos_token_id" : "bos_token");
  fill(names.eos, by_id ? "eos_token_id" : "eos_token");
}

}  // namespace

HfSpecialNames read_hf_special_files(const fs::path& folder) {
  HfSpecialNames names;
  add(folder / "tokenizer_config.json", false, names);
  add(folder / "special_tokens_map.json", false, names);
  add(folder / "generation_config.json", true, names);
  add(folder / "config.json", true, names);
  return names;
}

}  // namespace mythos
