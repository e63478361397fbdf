// The front end: finds mythos-VERB and becomes it, as git does, so that signals and exit statuses
// pass through untouched.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/version.h"
#include "programs.h"

using namespace mythos;

namespace {

struct Verb {
  std::string_view name, summary;
};

// In the order of a pipeline; an empty name is a heading.
constexpr Verb kVerbs[] = {
    {"", "Text to tokens"},
    {"synth", "Write tasks of a known depth: prompts with their answers"},
    {"vocab", "Train a SentencePiece vocabulary, or compare tokenizers"},
    {"tokenize", "Turn text into token shards, or into ids on stdout"},
    {"shards", "Show, verify, print, merge, split and exchange token shards"},
    {"", "Models"},
    {"presets", "List the configurations that --preset knows, or show one"},
    {"plan", "Say what a model costs: parameters, computation, memory"},
    {"train", "Train a model, or resume"},
    {"report", "Draw the curves of training runs as one HTML page"},
    {"", "Using a checkpoint"},
    {"eval", "Bits per byte and perplexity over loop counts"},
    {"generate", "Write text"},
    {"fit-cache", "Fit a low-rank cache across loops"},
    {"stability-check", "Prove and measure that the recurrence is stable"},
    {"checkpoint", "List and verify the checkpoints of a run"},
    {"export", "Write a checkpoint for other programs"},
    {"import", "Read a model from another format"},
    {"", "Measuring"},
    {"bench", "Measure speed: training, prefill, decode, tokenizers, token shards"},
};

constexpr int kUsage = static_cast<int>(ErrorKind::usage);

// The known verbs and every other mythos-* on the way.
std::vector<std::string> all_verbs() {
  std::vector<std::string> names;
  for (const Verb& verb : kVerbs) {
    if (!verb.name.empty()) names.emplace_back(verb.name);
  }
  for (const fs::path& folder : exec_path()) {
    std::error_code status;
    for (const auto& entry : fs::directory_iterator(folder, status)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("mythos-")) names.push_back(name.substr(7));
    }
  }
  return names;
}

int complain(const std::string& message) {
  log_error("mythos: error: " + message);
  log_error("'mythos --help' lists the verbs.");
  return kUsage;
}

int not_found(const std::string& verb) {
  for (const Verb& known : kVerbs) {
    if (known.name == verb) {
      return complain("mythos-" + verb + " is not installed (looked in MYTHOS_EXEC_PATH, beside " +
                      (own_folder() / "mythos").string() + ", and on PATH)");
    }
  }
  return complain("unknown verb '" + verb + "'." + did_you_mean(verb, all_verbs()));
}

// Returns only when the program cannot be executed.
int become(const fs::path& program, std::vector<std::string> args) {
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  prepare_environment();
  execv(program.c_str(), argv.data());
  return complain("cannot execute " + program.string() + ": " + std::strerror(errno));
}

int help() {
  std::printf(
      "Train, evaluate and use recurrent-depth transformers.\n\n"
      "Usage: mythos VERB [OPTION...]     'mythos VERB --help' explains a verb.\n"
      "       mythos help VERB            its manual page\n"
      "       mythos --version\n");
  for (const Verb& verb : kVerbs) {
    if (verb.name.empty()) {
      std::printf("\n%s:\n", verb.summary.data());
    } else {
      std::printf("  %-18s%s\n", verb.name.data(), verb.summary.data());
    }
  }
  return 0;
}

int help_verb(const std::string& verb) {
  const fs::path page = find_manual("mythos-" + verb + ".1");
  if (!page.empty() && isatty(STDOUT_FILENO)) {
    execlp("man", "man", page.c_str(), static_cast<char*>(nullptr));
    // Without man, --help has to do.
  }
  const fs::path program = find_program(verb);
  return program.empty() ? not_found(verb) : become(program, {program.string(), "--help"});
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb.empty()) {
    help();
    return kUsage;
  }
  if (verb == "--version") {
    std::fputs(version_text("mythos").c_str(), stdout);
    return 0;
  }
  if (verb == "--help" || verb == "-h" || (verb == "help" && argc == 2)) return help();
  if (verb == "help") return help_verb(argv[2]);
  if (verb.starts_with("-")) {
    return complain("unknown option " + verb + "." + did_you_mean(verb, {"--help", "--version"}));
  }
  const fs::path program = find_program(verb);
  if (program.empty()) return not_found(verb);
  std::vector<std::string> args(argv + 1, argv + argc);
  args[0] = program.string();
  return become(program, std::move(args));
}
