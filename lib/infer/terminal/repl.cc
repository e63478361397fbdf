#include "infer/terminal/repl.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "infer/terminal/generation_report.h"

namespace mythos {
namespace {

const std::vector<std::string> kCommands = {":loops", ":temperature", ":seed", ":max",
                                            ":new",   ":help",        ":quit"};
constexpr std::string_view kPromptHelp =
    "Each line is a prompt; the model continues it. Commands:\n";
constexpr std::string_view kChatHelp =
    "Each line is your next message; the model answers. Commands:\n"
    "  :new            forget the conversation and begin another\n";
constexpr std::string_view kHelp =
    "  :loops N        apply the recurrent core N times per token\n"
    "  :loops auto     as often as each token needs\n"
    "  :temperature X  0 takes the most likely token\n"
    "  :seed N         start the random numbers again from N\n"
    "  :max N          stop after N tokens\n"
    "  :help           this text\n"
    "  :quit           end (so does Ctrl-D; Ctrl-C stops a text that is being generated)";

int64_t whole_number(const std::string& name, std::string_view value, int64_t lowest,
                     int64_t highest) {
  const auto number = parse_int(value);
  if (number && *number >= lowest && *number <= highest) return *number;
  const std::string most =
      highest == std::numeric_limits<int64_t>::max() ? " or more" : strprintf(" to %d", highest);
  fail(ErrorKind::usage,
       strprintf("%s is '%s'; allowed: a whole number, %d%s", name, value, lowest, most));
}

// Shows what the format begins answers with ahead of the answer's first text.
void begin_answer(const ChatFormat& format, Request& request) {
  if (format.answer.empty()) return;
  request.text = [text = request.text, start = format.answer](std::string_view part) mutable {
    if (!start.empty()) text(std::exchange(start, {}));
    text(part);
  };
}

}  // namespace

Repl::Repl(Engine& engine, Settings settings, Output output)
    : engine_(engine), settings_(std::move(settings)), output_(std::move(output)) {
  if (settings_.loops == 0) settings_.loops = engine.decoder().config().max_loop_iters;
}

bool Repl::handle(std::string_view line, StopToken stop) {
  if (trim(line).empty()) return true;
  try {
    if (line.starts_with(':')) return run_command_line(trim(line));
    continue_prompt(line, stop);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage && error.kind() != ErrorKind::data) throw;
    output_.message(error.what());
  }
  return true;
}

bool Repl::run_command_line(std::string_view line) {
  const size_t space = std::min(line.find(' '), line.size());
  const std::string name(line.substr(0, space));
  if (name == ":quit") return false;
  if (name == ":help") {
    output_.message(std::string(settings_.chat ? kChatHelp : kPromptHelp) + std::string(kHelp));
  } else if (name == ":new" && settings_.chat) {
    conversation_.clear();
  } else {
    set(name, trim(line.substr(space)));
  }
  return true;
}

void Repl::set(const std::string& name, std::string_view value) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  if (name == ":loops") {
    const bool exits = value == "auto";
    settings_.loops = exits ? settings_.auto_loops : whole_number(name, value, 1, kMaxLoops);
    settings_.exits = exits;
  } else if (name == ":max") {
    settings_.options.max_tokens = whole_number(name, value, 1, kMost);
  } else if (name == ":seed") {
    settings_.options.sampling.seed = static_cast<uint64_t>(whole_number(name, value, 0, kMost));
    settings_.options.stream = 0;
  } else if (name == ":temperature") {
    const auto number = parse_double(value);
    if (!number) {
      fail(ErrorKind::usage,
           name + " is '" + std::string(value) + "'; allowed: a number, 0 (greedy) or more");
    }
    SamplingOptions changed = settings_.options.sampling;
    changed.temperature = *number;
    changed.validate();
    settings_.options.sampling = changed;
  } else {
    fail(ErrorKind::usage, "unknown command " + name + "." + did_you_mean(name, kCommands) +
                               " :help lists them; a prompt cannot begin with ':'");
  }
}

std::vector<uint32_t> Repl::chat_ids(std::string_view message) const {
  if (conversation_.empty()) return settings_.chat->prompt_ids({{"user", std::string(message)}});
  std::vector<uint32_t> ids = conversation_;
  const std::vector<uint32_t> turn = settings_.chat->next_turn_ids(message);
  ids.insert(ids.end(), turn.begin(), turn.end());
  return ids;
}

void Repl::continue_prompt(std::string_view prompt, StopToken stop) {
  GenerateOptions& options = settings_.options;
  Request request;
  request.ids = settings_.chat ? chat_ids(prompt)
                               : prompt_ids(engine_.tokenizer(), prompt, options.documents);
  request.continues = settings_.chat.has_value();
  request.options = options;
  request.loops = settings_.loops;
  request.exits = settings_.exits;
  request.stop = stop;
  request.text = output_.text;
  std::vector<uint32_t> ids = settings_.chat ? request.ids : std::vector<uint32_t>();
  if (settings_.chat) begin_answer(settings_.chat->format(), request);
  const Generation generation = engine_.complete(std::move(request));
  if (generation.stopped_in_prompt()) return;
  if (settings_.chat) {
    // Behind a stop string that the user did not see the conversation goes on from what was shown.
    const bool cut = generation.reason == StopReason::stop;
    const std::vector<uint32_t> answer =
        cut ? engine_.tokenizer().encode(generation.text) : generation.ids;
    ids.insert(ids.end(), answer.begin(), answer.end());
    conversation_ = std::move(ids);
  }
  if (!generation.text.ends_with('\n')) output_.text("\n");
  output_.statistics(describe(generation, engine_.decoder()));
  ++options.stream;  // the same prompt again gives another text
}

}  // namespace mythos
