#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace mythos {

// Watches a stream of text for the first of several stop strings. A stop string may arrive in
// pieces: text that could be the beginning of one is held back until it is known not to be.
class StopFilter {
 public:
  // Empty strings are ignored.
  explicit StopFilter(std::vector<std::string> stops);

  // Returns the text that may be shown now. Once a stop string is complete, matched() names it and
  // everything from it on is dropped.
  std::string push(std::string_view text);
  // The end of the stream: what was held back.
  std::string finish();

  bool stopped() const { return stopped_; }
  const std::string& matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string pending_, matched_;
  bool stopped_ = false;
};

}  // namespace mythos
