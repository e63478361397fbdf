#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace mythos {

// Replaces directories and patterns by the files that they stand for, as DocumentReader describes.
std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs);

// A line for each file: its name, size in bytes and time of change.
std::string describe_files(const std::vector<std::string>& files);

// The size of all files together; 0 if one of them is no ordinary file.
uint64_t total_size_bytes(const std::vector<std::string>& files);

}  // namespace mythos
