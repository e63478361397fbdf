#pragma once
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>

#include "infer/engine/generate.h"

namespace mythos {

// The conversation of 'mythos generate' on a terminal: every line is a prompt that the model
// continues, and lines that begin with ':' are commands (:help lists them). Knows no terminal
// itself.
class Repl {
 public:
  struct Output {
    Generator::Sink text;                                // the model's text
    std::function<void(const std::string&)> message;     // help and mistakes
    std::function<void(const std::string&)> statistics;  // what a text took
  };
  // All must outlive the conversation. `auto_loops`: the most loops of ':loops auto'.
  Repl(Session& session, const Tokenizer& tokenizer, const GenerateOptions& options, Output output,
       int64_t auto_loops);

  // One line without its line feed. False when it ends the conversation. What a user can set right
  // with another line (an unknown command, a prompt that is too long) becomes a message.
  bool handle(std::string_view line);

 private:
  bool run_command_line(std::string_view line);
  void set(const std::string& name, std::string_view value);
  void continue_prompt(std::string_view prompt);

  Session& session_;
  const Tokenizer& tokenizer_;
  Generator generator_;
  GenerateOptions options_;
  Output output_;
  int64_t auto_loops_;
};

}  // namespace mythos
