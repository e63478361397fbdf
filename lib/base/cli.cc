#include "base/cli.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>

#include "base/error.h"
#include "base/log.h"
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
    std::string out = app->get_description() + "\n\nExamples:\n";
    for (const std::string& line : split(examples_, '\n')) {
      if (!trim(line).empty()) out += "  " + std::string(trim(line)) + "\n";
    }
    out += "\n" + make_usage(app, name);
    out += make_positionals(app);
    out += make_subcommands(app, mode);
    out += make_groups(app, mode);
    for (size_t at; (at = out.find("\n\n\n")) != std::string::npos;) out.erase(at, 1);
    return out +
           "\nExit status: 0 success, 1 check failed, 2 usage, 3 bad input data, "
           "4 out of resources,\n5 training diverged, 130/143 on signal. See mythos(1).\n";
  }
  // The value's name, without the names of the checks that CLI11 appends ("T:POSITIVE"), except a
  // list of choices.
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
  std::string examples_;
};

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// "Did you mean" and the list, for a first word that is no subcommand; empty where that is not the
// fault.
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

// CLI11's text, with a suggestion for an option or subcommand that does not exist.
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

int report(const std::string& program, const std::string& message, int status) {
  Progress::clear_line();
  log_error(program + ": error: " + message);
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

bool is_out_of_memory(std::string_view what) {
  return what.find("out of memory") != std::string_view::npos ||
         what.find("can't allocate memory") != std::string_view::npos;
}

}  // namespace

int run_command(int argc, char** argv, const Command& command) {
  std::signal(SIGPIPE, SIG_DFL);
  // A file-size limit is then a failed write like a full disk: a message and the documented status.
  std::signal(SIGXFSZ, SIG_IGN);
  CLI::App app(command.summary, command.name);
  app.formatter(std::make_shared<Formatter>(command.examples));
  app.get_help_ptr()->description("Print this help and exit");
  app.set_version_flag(
      "--version", [&] { return version_text(command.name); },
      "Print the version and build facts and exit");
  bool quiet = false, verbose = false;
  try {
    command.options(app);
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
    return report(command.name, usage_message(app, error) + "\nTry '" + command.name + " --help'.",
                  static_cast<int>(ErrorKind::usage));
  }
  try {
    set_log_level(quiet     ? LogLevel::warning
                  : verbose ? LogLevel::debug
                            : log_level_of(std::getenv("MYTHOS_LOG")));
    const int status = command.run();
    if (std::fflush(stdout) != 0 || std::ferror(stdout) || !std::cout.flush()) {
      fail(ErrorKind::resources, "cannot write to standard output");
    }
    return status;
  } catch (const Error& error) {
    return report(command.name, error.what(), static_cast<int>(error.kind()));
  } catch (const std::bad_alloc&) {
    return report(command.name, "out of memory", static_cast<int>(ErrorKind::resources));
  } catch (const std::exception& error) {
    const std::string what = error.what();
    if (is_out_of_memory(what)) {
      return report(command.name, what.substr(0, what.find('\n')),
                    static_cast<int>(ErrorKind::resources));
    }
    return report(command.name, "internal error: " + what, static_cast<int>(ErrorKind::internal));
  }
}

}  // namespace mythos
