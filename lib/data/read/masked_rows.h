#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

// Rows of JSON in which not every token is to be learned.
namespace mythos {

// Documents of rows. `text` is one field; `completion` has the fields "prompt" and "completion", of
// which the completion counts; `messages` has a conversation in the field "messages", of which the
// assistant's turns count. The numbers stand in files: do not change them.
enum class RowKind { text, completion, messages };

// How a conversation becomes text. The numbers stand in files: do not change them.
enum class ChatTemplate { none, chatml, llama3, huginn };

// The special tokens that a template writes.
std::vector<std::string> tokens_of_template(ChatTemplate chat);

// A part of a document's text. Each part is encoded by itself, as a prompt is before its answer is
// generated, so that no token lies on both sides of a border.
struct TextPart {
  size_t end = 0;       // offset in the text at which it ends
  bool counts = false;  // whether its tokens count as targets
  bool markup = false;  // whether names of special tokens in it are those tokens

  bool operator==(const TextPart&) const = default;
};

// A document's text and its parts, which are none if all of the text counts. Whether the last part
// counts also says whether the EOS behind it does.
struct MarkedText {
  std::string text;
  std::vector<TextPart> parts;

  void add(std::string_view part, bool counts, bool markup = false);
};

// Writes a conversation: a list of objects with "role" and "content", both strings. Counted are the
// contents of the role "assistant" and the tokens that end them. Returns what is wrong with the
// conversation; empty if nothing is.
std::string write_conversation(const nlohmann::json& messages, ChatTemplate chat, MarkedText& out);

// Parts a text by a mask: a list of ranges [begin, end) in bytes of the text's UTF-8, in order and
// apart from each other, which count. Returns what is wrong with the mask's form; empty if nothing
// is. Sets `misfit` to what does not fit the text: a range that goes beyond it, is not in order or
// begins or ends inside a character.
std::string mark_ranges(const nlohmann::json& ranges, MarkedText& document, std::string& misfit);

}  // namespace mythos
