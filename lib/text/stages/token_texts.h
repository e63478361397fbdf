#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// A text for each token id.
class TokenTexts {
 public:
  // Sets the text of the next id.
  void add(std::string_view text) {
    texts_ += text;
    ends_.push_back(static_cast<uint32_t>(texts_.size()));
  }
  uint32_t size() const { return static_cast<uint32_t>(ends_.size()); }
  std::string_view text(uint32_t id) const {
    const uint32_t begin = id == 0 ? 0 : ends_[id - 1];
    return std::string_view(texts_).substr(begin, ends_[id] - begin);
  }

 private:
  std::string texts_;
  std::vector<uint32_t> ends_;
};

}  // namespace mythos
