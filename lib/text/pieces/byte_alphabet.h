#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace mythos {

// Writes bytes as letters, as GPT-2's vocabulary and tokenizer.json do: the printable bytes of
// Latin-1 as themselves, the other 68 as U+0100 … U+0143 in order ("Ġ" is the space).
std::string to_byte_letters(std::string_view bytes);
// The bytes that such letters stand for; nothing if the text, well-formed UTF-8, holds another
// character.
std::optional<std::string> from_byte_letters(std::string_view letters);

}  // namespace mythos
