#include <cstdio>
#include <limits>

#include "base/cli.h"
#include "base/error.h"
#include "base/output_path.h"
#include "base/strings.h"
#include "tasks/task_file.h"

using namespace mythos;

namespace {

// What the subcommand of a task was asked for.
struct Asked {
  TaskOptions task;
  int64_t count = 1000;
  std::string difficulty, out = "-";
};

struct TaskCommand {
  Task task;
  const char *summary, *difficulty;
};

constexpr TaskCommand kTasks[] = {
    {Task::p_hop, "The letter that p hops of an induction head reach", "Hops"},
    {Task::addition, "Sums of decimal numbers", "Digits of each number"},
    {Task::modular, "Chains of +, - and * modulo a number", "Operations"},
    {Task::pointer, "Following the pairs of a permutation, or chains to their end", "Steps"},
    {Task::parity, "Whether a row of bits holds an odd number of ones", "Bits"},
    {Task::i_gsm, "Arithmetic in words: numbers that follow from others", "Operations"},
};

std::string range_text(const TaskOptions& options) {
  return strprintf("%d..%d", options.easiest, options.hardest);
}

// "3" or "1..5".
void set_difficulty(TaskOptions& options, const std::string& text) {
  const size_t dots = text.find("..");
  const auto first = parse_int(std::string_view(text).substr(0, dots));
  const auto last = dots == text.npos ? first : parse_int(std::string_view(text).substr(dots + 2));
  if (!first || !last) {
    fail(ErrorKind::usage, "--difficulty '" + escaped(text, 60) + "': expected N or N..N");
  }
  options.easiest = *first;
  options.hardest = *last;
}

template <class F>
void write_output(const std::string& name, F&& write_into) {
  if (name == "-") {
    write_into([](const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); });
    return;
  }
  check_output(name, OutputKind::file);
  AtomicFile file{fs::path(name)};
  write_into([&](const std::string& text) { file.write(text); });
  file.commit();
}

int write_rows(Asked& asked) {
  if (!asked.difficulty.empty()) set_difficulty(asked.task, asked.difficulty);
  asked.task.validate();
  write_output(asked.out, [&](auto&& write) {
    for (int64_t i = 0; i < asked.count && !std::ferror(stdout); ++i) {
      write(task_line(make_task_row(asked.task, static_cast<uint64_t>(i))));
    }
  });
  return 0;
}

void add_out(CLI::App& app, std::string& out) {
  app.add_option("--out", out, "File to write; default: standard output")->type_name("FILE");
}

void add_size(CLI::App& app, const std::string& name, int64_t& value, const std::string& help) {
  app.add_option(name, value, help + " (default " + std::to_string(value) + ")")->type_name("N");
}

// The options of one task alone.
void add_sizes(CLI::App& app, TaskOptions& task) {
  if (task.task == Task::p_hop) add_size(app, "--length", task.length, "Letters of a sequence");
  if (task.task == Task::p_hop || task.task == Task::pointer) {
    add_size(app, "--symbols", task.symbols, "Different letters, at most 52");
    add_size(app, "--queries", task.queries, "Letters that are asked for, in alphabetical order");
  }
  if (task.task == Task::modular || task.task == Task::i_gsm) {
    add_size(app, "--modulus", task.modulus, "Numbers are taken modulo this");
  }
  if (task.task == Task::addition) {
    add_size(app, "--operands", task.operands, "Numbers to add");
    app.add_flag("--reversed", task.reversed, "Write the answer's digits from the lowest");
  }
  if (task.task == Task::pointer) {
    app.add_flag("--to-end", task.to_end, "Chains that are followed to their end, without a count");
  }
}

void declare_task(CLI::App& app, const TaskCommand& command, Asked& asked) {
  asked.task = TaskOptions::defaults(command.task);
  app.add_option("--count", asked.count, "Rows to write (default 1000)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->type_name("N");
  app.add_option("--seed", asked.task.seed, "Seed; rows of different seeds differ (default 1)")
      ->check(CLI::Range(int64_t{0}, std::numeric_limits<int64_t>::max()))
      ->type_name("N");
  app.add_option("--difficulty", asked.difficulty,
                 std::string(command.difficulty) +
                     ": N, or a range whose values are equally "
                     "likely (default " +
                     range_text(asked.task) + ")")
      ->type_name("N..N");
  add_sizes(app, asked.task);
  add_out(app, asked.out);
}

}  // namespace

int main(int argc, char** argv) {
  Asked asked[std::size(kTasks)];
  CLI::App* subcommands[std::size(kTasks)] = {};
  std::string tokenizer_out = "-";
  return run_command(
      argc, argv,
      {"mythos-synth", "Write tasks of a known depth, as JSON lines with prompt and completion.",
       R"(mythos synth tokenizer --out tok.json
          mythos synth p-hop --count 100000 --seed 1 --difficulty 1..4 --out train.jsonl
          mythos synth p-hop --count 1000 --seed 2 --difficulty 1..8 --length 64 --out test.jsonl
          mythos tokenize --tokenizer tok.json --rows completion --output data train.jsonl
          mythos eval --checkpoint run --tasks test.jsonl --loops 1,2,4,8)",
       [&](CLI::App& app) {
         app.require_subcommand(1);
         for (size_t i = 0; i < std::size(kTasks); ++i) {
           subcommands[i] =
               app.add_subcommand(std::string(enum_name(kTasks[i].task)), kTasks[i].summary);
           declare_task(*subcommands[i], kTasks[i], asked[i]);
         }
         add_out(*app.add_subcommand(
                     "tokenizer", "A tokenizer.json with one token a character, for these tasks"),
                 tokenizer_out);
       },
       [&] {
         for (size_t i = 0; i < std::size(kTasks); ++i) {
           if (subcommands[i]->parsed()) return write_rows(asked[i]);
         }
         write_output(tokenizer_out, [](auto&& write) { write(character_tokenizer()); });
         return 0;
       }});
}
