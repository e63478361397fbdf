#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace mythos {

// A program of mythos. `examples` are lines of shell that --help shows first.
struct Command {
  std::string name;     // "mythos-train"
  std::string summary;  // one sentence
  std::string examples;
  // Declares the options; called before the command line is parsed. An option whose type_name is N,
  // F, X, K or ID takes a number: run_command refuses nan, inf, hexadecimal and octal numbers for
  // it.
  std::function<void(CLI::App&)> options;
  // Does the job. Returns the exit status, 0 for success; throws Error when it fails.
  std::function<int()> run;
  // A sentence that says how the job can do with less memory; it is printed when memory runs out.
  std::string memory_advice = {};
};

// The main() of every program: parses the command line, does the job, and turns an exception of any
// thread into one message on stderr and the documented exit status. Adds --version, --quiet and
// --verbose.
int run_command(int argc, char** argv, const Command& command);

}  // namespace mythos
