#include "infer/terminal/repl.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "infer/terminal/generation_report.h"
#include "infer/terminal/interrupt.h"

namespace mythos {
namespace {

const std::vector<std::string> kCommands = {":loops", ":temperature", ":seed",
                                            ":max",   ":help",        ":quit"};
constexpr std::string_view kHelp =
    "Each line is a prompt; the model continues it. Commands:\n"
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

}  // namespace

Repl::Repl(Session& session, const Tokenizer& tokenizer, const GenerateOptions& options,
           Output output, int64_t auto_loops)
    : session_(session),
      tokenizer_(tokenizer),
      generator_(session, tokenizer),
      options_(options),
      output_(std::move(output)),
      auto_loops_(auto_loops) {
  options_.cancelled = InterruptGuard::interrupted;
}

bool Repl::handle(std::string_view line) {
  if (trim(line).empty()) return true;
  try {
    if (line.starts_with(':')) return run_command_line(trim(line));
    continue_prompt(line);
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
    output_.message(std::string(kHelp));
  } else {
    set(name, trim(line.substr(space)));
  }
  return true;
}

void Repl::set(const std::string& name, std::string_view value) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  if (name == ":loops") {
    const bool exits = value == "auto";
    session_.set_loops(exits ? auto_loops_ : whole_number(name, value, 1, kMaxLoops), exits);
  } else if (name == ":max") {
    options_.max_tokens = whole_number(name, value, 1, kMost);
  } else if (name == ":seed") {
    options_.sampling.seed = static_cast<uint64_t>(whole_number(name, value, 0, kMost));
    options_.stream = 0;
  } else if (name == ":temperature") {
    const auto number = parse_double(value);
    if (!number) {
      fail(ErrorKind::usage,
           name + " is '" + std::string(value) + "'; allowed: a number, 0 (greedy) or more");
    }
    SamplingOptions changed = options_.sampling;
    changed.temperature = *number;
    changed.validate();
    options_.sampling = changed;
  } else {
    fail(ErrorKind::usage, "unknown command " + name + "." + did_you_mean(name, kCommands) +
                               " :help lists them; a prompt cannot begin with ':'");
  }
}

void Repl::continue_prompt(std::string_view prompt) {
  const InterruptGuard guard;
  if (!generator_.set_prompt(prompt_ids(tokenizer_, prompt, options_.documents),
                             options_.cancelled))
    return;
  const Generation generation = generator_.generate(options_, output_.text);
  if (!generation.text.ends_with('\n')) output_.text("\n");
  output_.statistics(describe(generation, session_.decoder()));
  ++options_.stream;  // the same prompt again gives another text
}

}  // namespace mythos
