#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace mythos {

// One program. `examples` are lines of shell, shown first by --help.
struct Command {
  std::string name;     // "mythos-train"
  std::string summary;  // one sentence
  std::string examples;
  // Declares the options. Runs before parsing. A value of the type_name N, F, X, K or ID is a
  // number: nan, inf, hexadecimal and octal ones are refused without further checks.
  std::function<void(CLI::App&)> options;
  // The job. Returns the exit status, 0 for success; throws Error otherwise.
  std::function<int()> run;
  // What makes the job need less memory, told where memory runs out: a sentence.
  std::string memory_advice = {};
};

// The main() of every program: parses, runs, and turns what is thrown, in whichever thread, into
// one message on stderr and the documented exit status. Adds --version, --quiet and --verbose.
int run_command(int argc, char** argv, const Command& command);

}  // namespace mythos
