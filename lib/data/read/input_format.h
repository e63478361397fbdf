#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "data/read/readers.h"

namespace mythos {

// How many of an input's first bytes, after decompression, tell_format() looks at.
inline constexpr size_t kTellBytes = 1 << 14;

// What a file of this name is expected to hold, without the ending of a compression and in any
// letter case; nothing for names that a directory's walk leaves out.
std::optional<InputFormat> format_by_name(std::string_view path);
// The endings that format_by_name() knows, for messages: ".txt, .md, ... or .parquet".
std::string known_names();

// What InputFormat::automatic means for an input that begins with `start`, as ReaderOptions says.
// `compression` names what the bytes were decompressed from, and is empty otherwise. Fails (data),
// saying what to do, on what holds no text.
InputFormat tell_format(const std::string& path, std::string_view compression,
                        std::string_view start, const ReaderOptions& options);

// Fails (data) as tell_format() does, where a format other than text was named.
void check_start(const std::string& path, std::string_view compression, std::string_view start,
                 InputFormat format);

// Whether a text that begins so may be UTF-8; it may be cut inside a character.
bool may_begin_utf8(std::string_view start);

// "JSON lines" and such, for messages.
const char* format_title(InputFormat format);

}  // namespace mythos
