#include "text/export_tokenizer.h"

#include <nlohmann/json.hpp>

#include "text/carried_name.h"

namespace mythos {
namespace {

constexpr const char* kNamesFile = "tokenizer_config.json";
constexpr const char* kIdsFile = "generation_config.json";

}  // namespace

std::vector<std::string> export_tokenizer(const fs::path& folder, const Tokenizer& tokenizer) {
  CarriedName name = parse_carried_name(tokenizer.file_name()).value();
  nlohmann::ordered_json names, ids;
  const auto tell = [&](const std::optional<uint32_t>& id, const std::string& key) {
    if (!id) return;
    if (const std::string piece = tokenizer.piece(*id); piece.empty())
      ids[key + "_id"] = *id;
    else
      names[key] = piece;
  };
  tell(name.bos, "bos_token");
  tell(name.eos, "eos_token");
  name.bos = name.eos = std::nullopt;
  std::vector<std::string> written;
  const auto write = [&](const std::string& file, const std::string& content) {
    write_file_atomic(folder / file, content);
    written.push_back(file);
  };
  write(name.format(), tokenizer.file_content());
  if (!names.empty()) write(kNamesFile, names.dump(2) + "\n");
  if (!ids.empty()) write(kIdsFile, ids.dump(2) + "\n");
  return written;
}

bool is_tokenizer_export(std::string_view file_name) {
  return file_name == kNamesFile || file_name == kIdsFile || parse_carried_name(file_name);
}

}  // namespace mythos
