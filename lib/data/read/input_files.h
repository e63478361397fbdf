#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace mythos {

// Directories and patterns replaced by the files that they stand for, as DocumentReader says.
std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs);

// One line per file: its name, size in bytes and time of change.
std::string describe_files(const std::vector<std::string>& files);

// Together; 0 when one of them is no ordinary file.
uint64_t total_size_bytes(const std::vector<std::string>& files);

}  // namespace mythos
