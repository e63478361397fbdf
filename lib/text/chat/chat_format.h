#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "text/chat/marked_text.h"
#include "text/tokenizer.h"

namespace mythos {

struct ChatMessage {
  std::string role, content;
};

// How a conversation becomes text: a message is before_role, the role, behind_role, the content,
// end, behind_end. Names of special tokens in these four are those tokens.
struct ChatFormat {
  std::string name;  // of a known format, or the file that it comes from; empty: none
  int number = 0;    // of a known format, as it stands in files; 0 otherwise
  std::string before_role, behind_role, end, behind_end;
  std::string assistant = "assistant";  // how the role "assistant" is written
  bool trims = false;                   // whether white space around contents is left out
  bool bos = false;                     // whether BOS stands before the first message
  std::string answer = {};  // what answers begin with, which the model does not write: "<think>\n"
  std::string system = {};  // the system message of conversations that begin without one

  // What stands before and behind a content; before_content() of an assistant's lacks `answer`.
  std::string before_content(std::string_view role) const;
  // A format as the JSON that read_chat_format() takes.
  nlohmann::ordered_json to_json() const;
};

// "chatml" (Qwen, SmolLM2, Ouro), "llama3" and "huginn", as the tokenizers that Qwen, Llama 3 and
// Huginn-0125 publish write them.
const std::vector<ChatFormat>& known_chat_formats();
std::string known_chat_names();  // "chatml, llama3 or huginn"

// The format of that name; else from a file: a JSON object of ChatFormat's members, or a template
// in Jinja (chat_template.jinja, or a JSON object with "chat_template"), as
// recognised_chat_format() reads it. Fails (usage, data).
ChatFormat read_chat_format(const std::string& name_or_file);

// The special tokens that a format writes.
std::vector<std::string> tokens_of(const ChatFormat& format);
// Fails (usage), naming `option` and the first, unless the tokenizer has all of them.
void check_chat_format(const ChatFormat& format, const Tokenizer& tokenizer,
                       const std::string& option);

// Reads a list of objects with "role" and "content", both strings. Returns what is wrong with it;
// empty if nothing is.
std::string read_messages(const nlohmann::json& json, std::vector<ChatMessage>& messages);

// Appends the messages, before them the format's system message if they begin without one. What
// counts are the contents of the role "assistant" and the ends behind them.
void write_messages(const ChatFormat& format, const std::vector<ChatMessage>& messages,
                    MarkedText& out);

}  // namespace mythos
