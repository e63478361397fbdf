#pragma once
#include <string>
#include <string_view>

namespace mythos {

// Appends the bytes that `text`, padded base64 (RFC 4648), stands for. Returns false if it is empty
// or no base64; part of it may have been appended then.
bool decode_base64(std::string_view text, std::string& out);

}  // namespace mythos
