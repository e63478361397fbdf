#include "tasks/task.h"

#include "base/error.h"
#include "base/strings.h"
#include "tasks/generators.h"

namespace mythos {
namespace {

constexpr int64_t kLongest = 100'000;  // letters, digits, bits and operations of a row

void require_size(const char* option, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return;
  fail(ErrorKind::usage,
       strprintf("%s %d: expected %d to %d for this task", option, value, least, most));
}

// A row of that difficulty, from the random numbers that follow.
TaskRow generate(const TaskOptions& options, int64_t difficulty, Rng& rng) {
  switch (options.task) {
    case Task::p_hop:
      return make_p_hop(options, difficulty, rng);
    case Task::addition:
      return make_addition(options, difficulty, rng);
    case Task::modular:
      return make_modular(options, difficulty, rng);
    case Task::pointer:
      return make_pointer(options, difficulty, rng);
    case Task::parity:
      return make_parity(difficulty, rng);
    case Task::i_gsm:
      break;
  }
  return make_i_gsm(options, difficulty, rng);
}

int64_t hardest_possible(const TaskOptions& options) {
  switch (options.task) {
    case Task::p_hop:
      return options.length - 2;
    case Task::pointer:
      // Two chains: the end of a single one would be the answer whatever points to it.
      return options.to_end ? options.symbols / 2 - 1 : kLongest;
    case Task::i_gsm:
      return kTaskNames - 4;  // one given number, and two sentences of no use
    case Task::addition:
    case Task::modular:
    case Task::parity:
      break;
  }
  return kLongest;
}

}  // namespace

TaskOptions TaskOptions::defaults(Task task) {
  TaskOptions options;
  options.task = task;
  options.hardest = task == Task::parity                            ? 16
                    : task == Task::p_hop || task == Task::addition ? 4
                                                                    : 5;
  if (task == Task::pointer) options.symbols = 12;
  if (task == Task::i_gsm) options.modulus = 23;
  return options;
}

void TaskOptions::validate() const {
  const auto letters = static_cast<int64_t>(kTaskLetters.size());
  require_size("--length", length, 3, kLongest);
  require_size("--symbols", symbols, task == Task::p_hop ? 3 : 2, letters);
  require_size("--modulus", modulus, 2, 1'000'000'000);
  require_size("--operands", operands, 2, kLongest);
  if (task == Task::pointer || task == Task::p_hop) require_size("--queries", queries, 1, symbols);
  if (to_end && queries > 1) {
    fail(ErrorKind::usage, "--queries and --to-end: chains of one length have one beginning");
  }
  require_size("--difficulty", easiest, 1, hardest_possible(*this));
  require_size("--difficulty", hardest, 1, hardest_possible(*this));
  if (easiest > hardest) {
    fail(ErrorKind::usage, strprintf("--difficulty %d..%d: the first must not be above the second",
                                     easiest, hardest));
  }
}

TaskRow make_task_row(const TaskOptions& options, uint64_t index) {
  const uint64_t stream = (static_cast<uint64_t>(options.task) + 1) << 48;
  Rng rng(options.seed, stream + index);
  const auto span = static_cast<uint64_t>(options.hardest - options.easiest) + 1;
  const int64_t difficulty = options.easiest + static_cast<int64_t>(rng.below(span));
  TaskRow row = generate(options, difficulty, rng);
  row.difficulty = difficulty;
  return row;
}

}  // namespace mythos
