#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace mythos {

// The letters in which GPT-2's vocabulary, and tokenizer.json after it, writes bytes: printable
// bytes of Latin-1 as themselves, the other 68 as U+0100 … U+0143 in order ("Ġ" is the space).
std::string to_byte_letters(std::string_view bytes);
// The bytes; nothing when the text, well-formed UTF-8, holds any other letter.
std::optional<std::string> from_byte_letters(std::string_view letters);

}  // namespace mythos
