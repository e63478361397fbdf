#include "base/cli.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <system_error>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/strings.h"
#include "base/version.h"

namespace mythos {
namespace {

class Formatter : public CLI::Formatter {
 public:
  explicit Formatter(std::string examples) : examples_(std::move(examples)) { column_width(34); }
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override {
    std::string examples;
    for (const std::string& line : split(examples_, '\n')) {
      if (is_example_of(*app, trim(line))) examples += "  " + std::string(trim(line)) + "\n";
    }
    std::string out = app->get_description() + "\n\n";
    if (!examples.empty()) out += "Examples:\n" + examples + "\n";
    out += make_usage(app, name);
    out += make_positionals(app);
    out += make_subcommands(app, mode);
    out += make_groups(app, mode);
    for (size_t at; (at = out.find("\n\n\n")) != std::string::npos;) out.erase(at, 1);
    return out +
           "\nExit status: 0 success, 1 check failed, 2 usage, 3 bad input data, "
           "4 out of resources,\n5 training diverged, 130/143 on signal. See mythos(1).\n";
  }
  // The name of an option's value. The names of checks that CLI11 appends ("T:POSITIVE") are left
  // out, except a list of choices.
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) return "";
    const std::string type = option->get_positional() ? "" : option->get_type_name();
    const size_t colon = type.find(':');
    const bool choices = colon != std::string::npos && type.compare(colon + 1, 1, "{") == 0;
    std::string out = choices ? type.substr(colon + 1) : type.substr(0, colon);
    if (!out.empty()) out = " " + out;
    if (option->get_expected_max() == CLI::detail::expected_max_vector_size &&
        option->get_allow_extra_args()) {
      out += " ...";
    }
    return option->get_required() ? out + " (required)" : out;
  }

 private:
  // A subcommand shows the examples that call it; the program shows all.
  static bool is_example_of(const CLI::App& app, std::string_view line) {
    if (line.empty()) return false;
    const CLI::App* program = app.get_parent();
    if (!program) return true;
    std::string call = program->get_name() + " " + app.get_name();  // "mythos-shards split"
    if (call.starts_with("mythos-")) call[6] = ' ';
    return (std::string(line) + " ").find(call + " ") != std::string::npos;
  }

  std::string examples_;
};

// Says what is wrong with a number that the C library would take or change in silence: nan, inf, a
// hexadecimal or octal number, a whole number beyond 63 bits. Empty for a plain number.
std::string number_fault(const std::string& text) {
  const std::string quoted = "'" + escaped(text, 60) + "'";
  const std::string_view number = std::string_view(text).substr(text.starts_with('+') ? 1 : 0);
  const auto value = parse_double(number);
  if (!value || !std::isfinite(*value)) return quoted + " is not a finite number";
  const std::string_view digits = number.substr(number.starts_with('-') ? 1 : 0);
  if (digits.find_first_not_of("0123456789") != digits.npos) return {};
  if (digits.size() > 1 && digits[0] == '0') return quoted + ": write it without leading zeros";
  return parse_int(number) ? "" : quoted + " needs more than 63 bits";
}

// Refuses a number below zero, which would become a huge one in an unsigned variable.
std::string count_fault(const std::string& text) {
  const std::string fault = number_fault(text);
  return fault.empty() && text.starts_with('-') ? "'" + text + "' is below zero" : fault;
}

// An option whose value has one of these names takes plain, finite numbers.
constexpr std::string_view kCountNames[] = {"N", "K", "ID"}, kNumberNames[] = {"F", "X"};

void require_numbers(CLI::App& app) {
  static const CLI::Validator count(count_fault, ""), number(number_fault, "");
  for (CLI::Option* option : app.get_options()) {
    const std::string name = split(option->get_type_name(), ':')[0];
    if (std::ranges::find(kCountNames, name) != std::end(kCountNames)) option->check(count);
    if (std::ranges::find(kNumberNames, name) != std::end(kNumberNames)) option->check(number);
  }
  for (CLI::App* sub : app.get_subcommands({})) require_numbers(*sub);
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// For a first word that is no subcommand: "Did you mean" and the list of subcommands. Empty if the
// command line is wrong in another way.
std::string subcommand_message(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands({})) names.push_back(sub->get_name());
  const std::vector<std::string> rest = app.remaining();
  if (names.empty() || rest.empty() || !app.get_subcommands().empty() || rest[0].starts_with("-")) {
    return {};
  }
  return "unknown subcommand '" + rest[0] + "'." + did_you_mean(rest[0], names) +
         " Known: " + join(names, ", ") + ".";
}

// The text of CLI11's error, with a suggestion for an option or subcommand that does not exist.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error) {
  const std::string subcommand = subcommand_message(app);
  if (!subcommand.empty()) return subcommand;
  const auto* extras = dynamic_cast<const CLI::ExtrasError*>(&error);
  if (!extras) return error.what();
  std::vector<std::string> rest = app.remaining(true);
  for (const std::string& word : rest) {
    if (word.size() > 1 && word.starts_with("-")) {
      const std::string name = split(word, '=')[0];
      return "unknown option " + name + "." + did_you_mean(name, option_names(app));
    }
  }
  return "unexpected argument '" + (rest.empty() ? std::string() : rest[0]) + "'.";
}

int report(const std::string& program, std::string_view message, int status,
           std::string_view advice = {}) {
  log_error(program + ": error: " + std::string(message));
  if (!advice.empty()) log_error(advice);
  return status;
}

LogLevel log_level_of(const char* name) {
  if (!name || !*name) return LogLevel::info;
  const std::vector<std::string> names = {"debug", "info", "warning", "error", "off"};
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    fail(ErrorKind::usage,
         std::string("MYTHOS_LOG=") + name + ": expected one of " + join(names, ", "));
  }
  return static_cast<LogLevel>(found - names.begin());
}

// The advice to print when memory has run out.
std::string memory_advice(const Command& command) {
  rlimit limit = {};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return command.memory_advice;
  }
  const std::string bytes = human_bytes(static_cast<double>(limit.rlim_cur));
  return command.memory_advice + (command.memory_advice.empty() ? "" : " ") +
         "This process is limited to " + bytes + " of address space (ulimit -v).";
}

int report_memory(const Command& command, const std::string& message) {
  return report(command.name, message, static_cast<int>(ErrorKind::resources),
                memory_advice(command));
}

// Reports an exception of the standard library or of LibTorch, and returns the exit status.
int report_foreign(const Command& command, const std::exception& error) {
  const std::string memory = memory_fault(error);
  if (!memory.empty()) return report_memory(command, memory);
  return report(command.name, "internal error: " + std::string(error.what()),
                static_cast<int>(ErrorKind::internal));
}

// Does the job and returns its exit status; reports an exception and returns the status for it.
int guarded(const Command& command, const std::function<int()>& job) {
  try {
    return job();
  } catch (const Error& error) {
    // Such a message is "cannot map FILE: Cannot allocate memory".
    if (error.kind() == ErrorKind::resources && error.message().ends_with(std::strerror(ENOMEM))) {
      return report_memory(command, error.message());
    }
    return report(command.name, error.message(), static_cast<int>(error.kind()), error.advice());
  } catch (const fs::filesystem_error& error) {
    return report(command.name, message_of(error), static_cast<int>(ErrorKind::data));
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::resource_unavailable_try_again) {
      return report_foreign(command, error);
    }
    return report(command.name, "cannot start a thread: " + error.code().message(),
                  static_cast<int>(ErrorKind::resources),
                  "Memory or a limit of processes does not suffice for one more.");
  } catch (const std::exception& error) {
    return report_foreign(command, error);
  }
}

// If standard input, output or error is closed, the next file to be opened would get its number,
// and messages would be written into that file. So a descriptor that fails on use, as a closed one
// does, takes the number.
void occupy_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

const Command* running = nullptr;

// Reports an exception that nothing can catch, such as one in a thread of another library, and
// exits instead of aborting.
[[noreturn]] void end_program() {
  const std::exception_ptr error = std::current_exception();
  if (!error) std::abort();
  int status = static_cast<int>(ErrorKind::resources);
  try {
    status = guarded(*running, [&]() -> int { std::rethrow_exception(error); });
  } catch (const std::exception&) {  // memory does not suffice for a message
    constexpr std::string_view kText = "error: out of memory\n";
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kText.data(), kText.size());
  }
  std::_Exit(status);
}

int parse_and_run(int argc, char** argv, const Command& command) {
  CLI::App app(command.summary, command.name);
  app.formatter(std::make_shared<Formatter>(command.examples));
  app.get_help_ptr()->description("Print this help and exit");
  app.set_version_flag(
      "--version", [&] { return version_text(command.name); },
      "Print the version and build facts and exit");
  bool quiet = false, verbose = false;
  try {
    command.options(app);
    require_numbers(app);
    app.add_flag("-q,--quiet", quiet, "Only warnings and errors on stderr")->group("General");
    app.add_flag("-v,--verbose", verbose, "More detail on stderr")->group("General");
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help() << std::flush;
    return 0;
  } catch (const CLI::CallForVersion&) {
    std::cout << version_text(command.name) << std::flush;
    return 0;
  } catch (const CLI::ParseError& error) {
    return report(command.name, usage_message(app, error), static_cast<int>(ErrorKind::usage),
                  "Try '" + command.name + " --help'.");
  }
  set_log_level(quiet     ? LogLevel::warning
                : verbose ? LogLevel::debug
                          : log_level_of(std::getenv("MYTHOS_LOG")));
  const int status = command.run();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) || !std::cout.flush()) {
    fail(ErrorKind::resources, "cannot write to standard output");
  }
  return status;
}

}  // namespace

int run_command(int argc, char** argv, const Command& command) {
  occupy_standard_descriptors();
  std::signal(SIGPIPE, SIG_DFL);
  // With SIGXFSZ ignored, a limit on file sizes is a failed write like a full disk: a message and
  // the documented status.
  std::signal(SIGXFSZ, SIG_IGN);
  running = &command;
  const std::terminate_handler before = std::set_terminate(end_program);
  const int status = guarded(command, [&] { return parse_and_run(argc, argv, command); });
  std::set_terminate(before);
  return status;
}

}  // namespace mythos
