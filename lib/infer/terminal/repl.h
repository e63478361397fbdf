#pragma once
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/stop.h"
#include "infer/engine/engine.h"
#include "text/chat/chat.h"

namespace mythos {

// The conversation of 'mythos generate' on a terminal: every line is a prompt that the model
// continues, and lines that begin with ':' are commands (:help lists them). With a chat format,
// every line is the user's next message, which the model answers; the conversation keeps its cache
// from turn to turn. Knows no terminal itself.
class Repl {
 public:
  struct Output {
    std::function<void(std::string_view)> text;          // the model's text
    std::function<void(const std::string&)> message;     // help and mistakes
    std::function<void(const std::string&)> statistics;  // what a text took
  };
  // What a text is generated with until a command changes it.
  struct Settings {
    GenerateOptions options;
    int64_t loops = 0;       // 0 means the model's max_loop_iters
    bool exits = false;      // the decoder's exit rule may end a token's loops earlier
    int64_t auto_loops = 0;  // the most loops of ':loops auto'
    std::optional<Chat> chat = {};
  };
  // The engine must outlive the conversation.
  Repl(Engine& engine, Settings settings, Output output);

  // One line without its line feed; a stop ends its text where it is. False when the line ends the
  // conversation. What a user can set right with another line (an unknown command, a prompt that is
  // too long) becomes a message.
  bool handle(std::string_view line, StopToken stop = {});
  const Settings& settings() const { return settings_; }

 private:
  bool run_command_line(std::string_view line);
  void set(const std::string& name, std::string_view value);
  void continue_prompt(std::string_view prompt, StopToken stop);
  // The ids of the conversation so far and the user's message.
  std::vector<uint32_t> chat_ids(std::string_view message) const;

  Engine& engine_;
  Settings settings_;
  Output output_;
  std::vector<uint32_t> conversation_;  // with a chat format: all of it, without the last end
};

}  // namespace mythos
