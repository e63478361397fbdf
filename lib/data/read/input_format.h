#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "data/read/readers.h"

namespace mythos {

// The number of an input's first bytes, after decompression, that tell_format() looks at.
inline constexpr size_t kTellBytes = 1 << 14;

// The format that a file's name promises in any letter case, apart from the ending of a
// compression; nothing for names that the walk of a directory leaves out.
std::optional<InputFormat> format_by_name(std::string_view path);
// The endings that format_by_name() knows, for messages: ".txt, .md, ... or .parquet".
std::string known_names();

// The format that InputFormat::automatic stands for if an input begins with `start`. `compression`
// names the compression of the input, if it has one. Fails (data), saying what to do, on an input
// that holds no text.
InputFormat tell_format(const std::string& path, std::string_view compression,
                        std::string_view start, const ReaderOptions& options);

// Fails (data) as tell_format() does, for an input for which a format other than text was named.
void check_start(const std::string& path, std::string_view compression, std::string_view start,
                 InputFormat format);

// Whether a text that begins so may be UTF-8; it may be cut inside a character.
bool may_begin_utf8(std::string_view start);

// "JSON lines" and such, for messages.
const char* format_title(InputFormat format);

}  // namespace mythos
