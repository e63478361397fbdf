#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "text/chat/chat_format.h"
#include "text/hf/hf_json.h"

namespace mythos {

// What is written like a special token in a text: "<|im_end|>".
std::vector<std::string> markers_in(std::string_view text);

// The template of a tokenizer_config.json or chat_template.json: its member "chat_template", of a
// list of named ones that named "default"; empty without one.
std::string template_in(const HfJson& root);

// The known format that a chat template of Hugging Face's (Jinja) writes. Templates are not
// rendered: one is recognised if its literals have the markers of one known format and no others
// than those that stand for tools and images, and write the known beginning of an answer. Read from
// it as well: a system message that it gives to conversations without one, whether it trims
// contents, whether it begins with BOS, and "<think>" that it begins answers with. Fails (usage),
// naming `source`, on any other template.
ChatFormat recognised_chat_format(std::string_view jinja, const std::string& source);

// The format of the model in a folder: of its chat_template.jinja, tokenizer_config.json or
// chat_template.json; without these files, the only known format whose tokens the tokenizer has.
// Fails (usage) if there is no such format.
ChatFormat chat_format_of(const fs::path& folder, const Tokenizer& tokenizer);

// The tokens with which the model in a folder ends its texts: "eos_token_id" of its
// generation_config.json, a number or a list; none without the file. Fails (data) on ids outside
// the vocabulary.
std::vector<uint32_t> generation_stop_ids(const fs::path& folder, const Tokenizer& tokenizer);

}  // namespace mythos
