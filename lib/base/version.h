#pragma once
#include <string>

namespace mythos {

// "0.1.0"
std::string version();
// The text of --version: the version, the commit, and the LibTorch and CUDA that this build was
// made with.
std::string version_text(const std::string& program);

}  // namespace mythos
