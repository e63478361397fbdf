#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "text/chat/chat_format.h"
#include "text/chat/marked_text.h"

// Rows of JSON in which not every token is to be learned.
namespace mythos {

// Documents of rows. `text` is one field; `completion` has the fields "prompt" and "completion", of
// which the completion counts; `messages` has a conversation in the field "messages", of which the
// assistant's turns count. The numbers stand in files: do not change them.
enum class RowKind { text, completion, messages };

// Writes a conversation: a list of objects with "role" and "content", both strings. Counted are the
// contents of the role "assistant" and the tokens that end them. Returns what is wrong with the
// conversation; empty if nothing is.
std::string write_conversation(const nlohmann::json& messages, const ChatFormat& chat,
                               MarkedText& out);

// Parts a text by a mask: a list of ranges [begin, end) in bytes of the text's UTF-8, in order and
// apart from each other, which count. Returns what is wrong with the mask's form; empty if nothing
// is. Sets `misfit` to what does not fit the text: a range that goes beyond it, is not in order or
// begins or ends inside a character.
std::string mark_ranges(const nlohmann::json& ranges, MarkedText& document, std::string& misfit);

}  // namespace mythos
