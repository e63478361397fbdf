#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/stop.h"
#include "infer/engine/engine.h"
#include "infer/terminal/line_reader.h"
#include "text/chat/chat.h"

namespace mythos {

// One line of 'mythos generate --jsonl'.
struct JsonlPrompt {
  std::string prompt;                 // with a chat: the text of the conversation
  std::vector<ChatMessage> messages;  // with a chat
  const Chat* chat = nullptr;         // answers are asked for, not continuations
  GenerateOptions options;
  int64_t loops = 0;           // 0 means the model's max_loop_iters
  bool exits = false;          // at most that many: the decoder's exit rule applies
  uint64_t number = 0;         // of the prompts, from 0
  uint64_t line = 0;           // of the file, from 1
  nlohmann::json id;           // the member "id"; null without one
  std::optional<Error> fault;  // why the line is of no use
};

// The prompts of 'mythos generate --jsonl', one JSON object a line; man/mythos-generate.1 describes
// the keys.
class JsonlPrompts {
 public:
  // `defaults`: what a line does not say; `auto_loops`: the most of a line that says "auto".
  JsonlPrompts(const std::string& path, JsonlPrompt defaults, int64_t auto_loops,
               size_t max_line_bytes = LineReader::kMaxLineBytes);

  // The next prompt, if it has come; with `wait` once it comes. A stop ends the wait, and the
  // prompts. Blank lines are passed over. A line that is of no use gives a prompt with a fault
  // (data or usage) that says what is allowed. Fails (data) when reading fails.
  Arrival next(JsonlPrompt& prompt, bool wait, StopToken stop = {});

  const std::string& name() const { return lines_.name(); }  // of the file, for messages

 private:
  void read_line(const std::string& line, JsonlPrompt& prompt) const;

  LineReader lines_;
  JsonlPrompt defaults_;
  int64_t auto_loops_;
  uint64_t given_ = 0;
};

// Puts what comes in any order back into the order of its numbers, 0 and on.
class OrderedLines {
 public:
  explicit OrderedLines(std::function<void(const std::string&)> print) : print_(std::move(print)) {}
  void add(uint64_t number, std::string line);
  // Lines that wait for an earlier one.
  size_t waiting() const { return waiting_.size(); }
  // Numbers that never came are passed over.
  void flush();

 private:
  std::function<void(const std::string&)> print_;
  uint64_t next_ = 0;
  std::map<uint64_t, std::string> waiting_;
};

struct JsonlRun {
  bool unordered = false;  // print results as they are done, not in the order of their prompts
  std::string checkpoint;  // of the model, as results name it
  StopToken stop;          // ends all texts where they are
  // Is told of each prompt that is of use.
  std::function<void(const JsonlPrompt&)> on_prompt;
  std::function<void(const std::string&)> print;  // takes lines, line feeds included
};

struct JsonlResult {
  int64_t prompts = 0, failed = 0;
  std::string first_failure;  // "FILE:LINE: why"
};

// Continues all prompts with an engine that has no other requests and prints a result for each
// (mythos.generate/1): a text, or the error that the prompt got instead. Where the file cannot be
// read to its end, the texts before are finished, then this fails (data).
JsonlResult run_jsonl(Engine& engine, JsonlPrompts& prompts, const JsonlRun& run);

}  // namespace mythos
