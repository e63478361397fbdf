#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace mythos {

// The lines of earlier conversations: a text file, one a line, that only its owner may read.
// Several conversations may add to it at a time. What cannot be read or written is passed over in
// silence: a conversation goes on without.
class PromptHistory {
 public:
  static constexpr size_t kMostLines = 1000;
  static constexpr size_t kMostBytes = 1 << 20;

  explicit PromptHistory(fs::path file) : file_(std::move(file)) {}

  // The newest, oldest first. A file that has grown beyond kMostBytes is cut down to them.
  std::vector<std::string> load() const;
  void add(std::string_view line) const;

 private:
  fs::path file_;
};

// $XDG_STATE_HOME/mythos/history, or else ~/.local/state/mythos/history; nothing without a home.
std::optional<fs::path> history_file();

}  // namespace mythos
