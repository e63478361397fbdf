#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/files.h"

namespace mythos {

// A token that a file declares BOS or EOS, by name or by id.
struct HfSpecialName {
  std::string name;  // empty if there is an id
  std::optional<uint32_t> id;
  std::string source;  // the file
  std::string shown;   // its declaration, for messages: eos_token "</s>"
};

struct HfSpecialNames {
  std::optional<HfSpecialName> bos, eos;
};

// BOS and EOS as the files declare them that Hugging Face keeps beside a tokenizer. The first
// declaration of each counts, in this order of files: tokenizer_config.json and
// special_tokens_map.json (bos_token and eos_token: a name, or an object with the name as
// "content"), generation_config.json and config.json (bos_token_id and eos_token_id: an id, or a
// list whose first id counts). Missing files and null members declare nothing. Fails (data) on a
// file that is not a JSON object.
HfSpecialNames read_hf_special_files(const fs::path& folder);

}  // namespace mythos
