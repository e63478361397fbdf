#pragma once
#include <optional>
#include <string>

#include "infer/terminal/prompt_history.h"

struct editline;
struct historyW;

namespace mythos {

// Reads lines from a terminal, where they can be edited and earlier ones be called back (libedit).
// Lines may have any length and any characters of UTF-8. While one lives, what is typed between two
// lines is kept for the next, and the terminal does not show it among the output; Ctrl-C and Ctrl-Z
// have their effect then.
class PromptEditor {
 public:
  // Whether standard input and output are a terminal that can move its cursor, and the C library
  // knows UTF-8.
  static bool possible();

  // Takes over the locale's character type (setlocale). `history`: none is kept without one.
  explicit PromptEditor(std::optional<PromptHistory> history);
  ~PromptEditor();
  PromptEditor(const PromptEditor&) = delete;
  PromptEditor& operator=(const PromptEditor&) = delete;

  enum class Event {
    line,
    ended,        // Ctrl-D
    interrupted,  // Ctrl-C where nothing was typed; a line that was begun is dropped by it
    terminated,   // SIGTERM
  };
  Event read(std::string& line);

 private:
  struct Calls;  // what libedit calls

  // The next character that is typed, or the end of a line when a signal has come that ends it;
  // false at the end of the input.
  bool next_character(wchar_t& to);
  void heed_signals();
  void remember(const std::wstring& line);

  std::optional<PromptHistory> history_;
  editline* editor_ = nullptr;
  historyW* lines_ = nullptr;
  std::string pending_;        // bytes of a character that has not come whole
  Event event_ = Event::line;  // what ended the line
};

}  // namespace mythos
