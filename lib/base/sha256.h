#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace mythos {

// SHA-256 (FIPS 180-4) as 64 hexadecimal digits: the checksum by which model hubs know large files,
// so that no faster hash can stand in for it (checkpoint/downloads.h).
std::string sha256(std::span<const std::byte> bytes);

}  // namespace mythos
