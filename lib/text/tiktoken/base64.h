#pragma once
#include <string>
#include <string_view>

namespace mythos {

// Appends the bytes that padded base64 (RFC 4648) stands for. False when the text is empty or is
// not that; then part of it may have been appended.
bool decode_base64(std::string_view text, std::string& out);

}  // namespace mythos
