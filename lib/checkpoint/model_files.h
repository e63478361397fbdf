#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "config/document_ends.h"

// The files beside a published model's weights and tokenizer that say how it converses and how its
// text begins and ends: chat_template.jinja, chat_template.json, generation_config.json and
// tokenizer_config.json. Checkpoints made of such a model carry them as they are.
namespace mythos {

class Tokenizer;

using ModelFiles = std::map<std::string, std::string>;  // content by name

bool is_model_file(std::string_view name);

// The files of these names in a folder.
ModelFiles read_model_files(const fs::path& folder);

// The template in Jinja with which the library `transformers` writes conversations; empty where
// there is none. `origin` names the model in errors.
std::string chat_template_of(const ModelFiles& files, const std::string& origin);

// The key of the metadata in which exports of this program's models say how documents of the
// training began and ended.
constexpr const char* kDocumentsKey = "mythos.documents";

// How documents of the training began and ended: as `metadata` of the weights says, else as the
// library `transformers` has it, which puts BOS before a text where tokenizer_config.json says so;
// unknown where neither does. `origin` names the model in errors.
std::optional<DocumentEnds> declared_ends(const std::map<std::string, std::string>& metadata,
                                          const ModelFiles& files, const std::string& origin);

// Writes them into a folder in which export_tokenizer() has written `tokenizer` (null: none), and
// returns the names of those that it had not. Where they say otherwise of BOS and EOS,
// tokenizer_config.json is changed: load_tokenizer() of the folder gives those of `tokenizer`.
std::vector<std::string> write_model_files(const fs::path& folder, const ModelFiles& files,
                                           const Tokenizer* tokenizer);

}  // namespace mythos
