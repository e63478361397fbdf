#include "checkpoint/model_files.h"

#include <algorithm>

#include "text/chat/chat_template.h"
#include "text/load_tokenizer.h"

namespace mythos {
namespace {

using nlohmann::ordered_json;

constexpr const char *kJinja = "chat_template.jinja", *kTemplateJson = "chat_template.json",
                     *kTokenizerConfig = "tokenizer_config.json";
constexpr std::string_view kModelFiles[] = {kJinja, kTemplateJson, "generation_config.json",
                                            kTokenizerConfig};

// Whether a model's file says of a token what the tokenizer says: an id, a name, a list that has
// it, or an object with the name.
bool agrees(const ordered_json& file, const ordered_json& tokenizer) {
  if (file.is_array()) return std::ranges::find(file, tokenizer) != file.end();
  if (file.is_object()) return file.value("content", ordered_json()) == tokenizer;
  return file == tokenizer;
}

// A model's file with what the tokenizer's own says; the file as it is where it says so itself.
std::string merged_file(const std::string& content, const std::string& tokenizer) {
  ordered_json file = ordered_json::parse(content, nullptr, /*allow_exceptions=*/false);
  const ordered_json ours = ordered_json::parse(tokenizer);
  if (!file.is_object()) return tokenizer;
  bool changed = false;
  for (const auto& [key, value] : ours.items()) {
    const auto found = file.find(key);
    if (found != file.end() && agrees(*found, value)) continue;
    file[key] = value;
    changed = true;
  }
  return changed ? file.dump(2) + "\n" : content;
}

// The names of a tokenizer's BOS and EOS as tokenizer_config.json has them, if the files of a
// folder tell others; else empty.
std::string other_boundaries(const fs::path& folder, const Tokenizer& tokenizer) {
  const auto read = load_tokenizer(folder);
  ordered_json names;
  const auto compare = [&](const char* key, const std::optional<uint32_t>& ours,
                           const std::optional<uint32_t>& theirs) {
    if (!ours || ours == theirs) return;
    if (const std::string piece = tokenizer.piece(*ours); !piece.empty()) names[key] = piece;
  };
  compare("bos_token", tokenizer.bos_id(), read->bos_id());
  compare("eos_token", tokenizer.eos_id(), read->eos_id());
  return names.empty() ? "" : names.dump(2) + "\n";
}

}  // namespace

bool is_model_file(std::string_view name) {
  return std::ranges::find(kModelFiles, name) != std::end(kModelFiles);
}

ModelFiles read_model_files(const fs::path& folder) {
  ModelFiles files;
  for (const std::string_view name : kModelFiles) {
    std::error_code status;
    if (fs::is_regular_file(folder / name, status)) {
      files[std::string(name)] = read_file(folder / name);
    }
  }
  return files;
}

std::string chat_template_of(const ModelFiles& files, const std::string& origin) {
  if (const auto jinja = files.find(kJinja); jinja != files.end()) return jinja->second;
  for (const char* name : {kTokenizerConfig, kTemplateJson}) {
    const auto file = files.find(name);
    if (file == files.end()) continue;
    const std::string source = origin + "/" + name;
    const nlohmann::json json = parse_hf_json(file->second, source);
    std::string text = template_in(HfJson(json, source, ""));
    if (!text.empty()) return text;
  }
  return "";
}

std::optional<DocumentEnds> declared_ends(const std::map<std::string, std::string>& metadata,
                                          const ModelFiles& files, const std::string& origin) {
  if (const auto text = metadata.find(kDocumentsKey); text != metadata.end()) {
    return document_ends_from_json(nlohmann::json::parse(text->second, nullptr, false),
                                   origin + ": metadata");
  }
  const auto file = files.find(kTokenizerConfig);
  if (file == files.end()) return std::nullopt;
  const nlohmann::json json = parse_hf_json(file->second, origin + "/" + kTokenizerConfig);
  if (!json.is_object()) return std::nullopt;
  const auto adds = json.find("add_bos_token");
  if (adds == json.end() || !adds->is_boolean()) return std::nullopt;
  return DocumentEnds{adds->get<bool>() ? Share::all : Share::none, Share::all};
}

std::vector<std::string> write_model_files(const fs::path& folder, const ModelFiles& files,
                                           const Tokenizer* tokenizer) {
  std::vector<std::string> written;
  if (files.empty()) return written;
  for (const auto& [name, content] : files) {
    std::error_code status;
    const bool there = fs::exists(folder / name, status);
    write_file_atomic(folder / name,
                      there ? merged_file(content, read_file(folder / name)) : content);
    if (!there) written.push_back(name);
  }
  const std::string names = tokenizer ? other_boundaries(folder, *tokenizer) : "";
  if (names.empty()) return written;
  const auto config = files.find(kTokenizerConfig);
  write_file_atomic(folder / kTokenizerConfig,
                    config == files.end() ? names : merged_file(config->second, names));
  if (config == files.end()) written.push_back(kTokenizerConfig);
  return written;
}

}  // namespace mythos
