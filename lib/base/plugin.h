#pragma once
#include <filesystem>

namespace mythos {

// The path of a shared object of this project that is opened only when it is needed, such as
// "libmythos_cuda.so". It lies among the build's libraries or in the installed tree, and is found
// from where the program lies. Empty if it is missing.
std::filesystem::path find_plugin(const char* file_name);

}  // namespace mythos
