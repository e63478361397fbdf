#include "conversation.h"

#include <cstdio>
#include <iostream>
#include <optional>

#include "base/log.h"
#include "base/signals.h"
#include "base/strings.h"
#include "prompt_editor.h"

namespace mythos {
namespace {

// A line from where it is typed; false at the end.
bool read_line(std::optional<PromptEditor>& editor, std::string& line) {
  if (editor) {
    const PromptEditor::Event event = editor->read(line);
    if (event == PromptEditor::Event::line) return true;
    editor.reset();  // the terminal is as it was
    if (event == PromptEditor::Event::interrupted) exit_by_signal(SIGINT);
    if (event == PromptEditor::Event::terminated) exit_by_signal(SIGTERM);
    return false;
  }
  std::fputs("> ", stderr);
  if (std::getline(std::cin, line)) return true;
  std::fputs("\n", stderr);
  return false;
}

}  // namespace

void print_text(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void warn_of_depth(DepthWarning& depth, int64_t loops, bool exits) {
  exits ? depth.check_most(loops) : depth.check(loops);
}

int converse(Engine& engine, const Repl::Settings& settings, DepthWarning& depth) {
  Repl repl(
      engine, settings,
      {print_text, [](const std::string& message) { std::fputs((message + "\n").c_str(), stderr); },
       [](const std::string& statistics) { log_info(statistics); }});
  log_info(strprintf("%s%d loops. Type a %s, or :help", repl.settings().exits ? "at most " : "",
                     repl.settings().loops, settings.chat ? "message" : "prompt"));
  std::optional<PromptEditor> editor;
  if (PromptEditor::possible()) {
    const auto file = history_file();
    editor.emplace(file ? std::optional<PromptHistory>(*file) : std::nullopt);
  }
  std::string line;
  while (read_line(editor, line)) {
    StopSignals signals({SIGINT});  // Ctrl-C ends the text
    signals.watch();
    if (!repl.handle(line, signals.token())) break;
    warn_of_depth(depth, repl.settings().loops, repl.settings().exits);
  }
  return 0;
}

}  // namespace mythos
