#pragma once
#include <cstdlib>
#include <optional>

#include "scratch.h"

namespace mythos {

// A directory of a test case that all processes of its jobs (ranks.h) share.
class SharedScratch {
 public:
  SharedScratch() {
    if (!std::getenv(kName)) {
      own_.emplace();
      setenv(kName, own_->path().c_str(), 1);
    }
    path_ = std::getenv(kName);
  }
  ~SharedScratch() {
    if (own_) unsetenv(kName);
  }
  SharedScratch(const SharedScratch&) = delete;
  SharedScratch& operator=(const SharedScratch&) = delete;
  const fs::path& path() const { return path_; }
  bool is_own() const { return own_.has_value(); }

 private:
  static constexpr const char* kName = "MYTHOS_TEST_SHARED";
  std::optional<Scratch> own_;
  fs::path path_;
};

}  // namespace mythos
