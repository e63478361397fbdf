#include "base/cli.h"

#include <new>

#include "../scratch.h"
#include "base/log.h"
#include "base/version.h"

namespace mythos {
namespace {

struct Outcome {
  int status;
  std::string out, err;
};

// Runs a program "mythos-test" with options --size N, --mode and a subcommand-free job.
Outcome run(
    std::vector<std::string> args, const std::function<int()>& job = [] { return 0; }) {
  int64_t size = 0;
  std::string mode;
  const Command command{
      "mythos-test", "Test the command line.", "mythos test --size 3\n  mythos test --mode fast",
      [&](CLI::App& app) {
        app.add_option("--size", size, "How large")->type_name("N")->check(CLI::PositiveNumber);
        app.add_option("--mode", mode, "How")->check(CLI::IsMember({"fast", "slow"}));
      },
      job};
  args.insert(args.begin(), "mythos-test");
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int status = run_command(static_cast<int>(args.size()), argv.data(), command);
  set_log_level(LogLevel::info);
  return {status, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

TEST(Cli, SuccessIsSilent) {
  const Outcome o = run({"--size", "3"});
  EXPECT_EQ(o.status, 0);
  EXPECT_EQ(o.out + o.err, "");
}

TEST(Cli, TheEnvironmentSetsTheLogLevelAndFlagsWin) {
  LogLevel seen = LogLevel::off;
  const auto job = [&] { return seen = log_level(), 0; };
  setenv("MYTHOS_LOG", "error", 1);
  run({}, job);
  EXPECT_EQ(seen, LogLevel::error);
  run({"--verbose"}, job);
  EXPECT_EQ(seen, LogLevel::debug);
  setenv("MYTHOS_LOG", "loud", 1);
  const Outcome o = run({}, job);
  unsetenv("MYTHOS_LOG");
  EXPECT_EQ(o.status, 2);
  EXPECT_TRUE(contains(o.err, "MYTHOS_LOG=loud: expected one of debug, info, warning, error, off"));
}

TEST(Cli, AnUnknownSubcommandIsNamed) {
  std::string program = "mythos-test", word = "lst";
  char* argv[] = {program.data(), word.data(), nullptr};
  testing::internal::CaptureStderr();
  const int status = run_command(2, argv,
                                 {program, "Test.", "",
                                  [](CLI::App& app) {
                                    app.require_subcommand(1);
                                    app.add_subcommand("list", "");
                                    app.add_subcommand("show", "");
                                  },
                                  [] { return 0; }});
  EXPECT_EQ(status, 2);
  EXPECT_TRUE(contains(testing::internal::GetCapturedStderr(),
                       "unknown subcommand 'lst'. Did you mean 'list'? Known: list, show."));
}

TEST(Cli, StatusOfTheJobIsTheStatus) {
  EXPECT_EQ(run({}, [] { return 1; }).status, 1);
}

TEST(Cli, HelpBeginsWithExamples) {
  const Outcome o = run({"--help"});
  EXPECT_EQ(o.status, 0);
  EXPECT_TRUE(o.out.starts_with(
      "Test the command line.\n\nExamples:\n  mythos test --size 3\n  mythos test --mode fast\n\n"
      "Usage: mythos-test"))
      << o.out;
  EXPECT_TRUE(contains(o.out, "--size N  "));
  EXPECT_TRUE(contains(o.out, "--mode {fast,slow}"));
  EXPECT_FALSE(contains(o.out, "POSITIVE"));
  EXPECT_FALSE(contains(o.out, "\n\n\n"));
  EXPECT_TRUE(contains(o.out, "Exit status: 0 success"));
  EXPECT_EQ(o.err, "");
}

TEST(Cli, Version) {
  const Outcome o = run({"--version"});
  EXPECT_EQ(o.status, 0);
  EXPECT_TRUE(o.out.starts_with("mythos-test " + version() + "\n")) << o.out;
  EXPECT_TRUE(contains(o.out, "LibTorch"));
}

TEST(Cli, UnknownOptionIsSuggested) {
  const Outcome o = run({"--sise", "3"});
  EXPECT_EQ(o.status, 2);
  EXPECT_EQ(o.out, "");
  EXPECT_TRUE(contains(o.err,
                       "mythos-test: error: unknown option --sise. Did you mean '--size'?\nTry "
                       "'mythos-test --help'."))
      << o.err;
}

TEST(Cli, UnexpectedArgumentsAndBadValuesAreUsageErrors) {
  const Outcome extra = run({"word"});
  EXPECT_EQ(extra.status, 2);
  EXPECT_TRUE(contains(extra.err, "unexpected argument 'word'")) << extra.err;
  EXPECT_EQ(run({"--size", "x"}).status, 2);
  EXPECT_EQ(run({"--size", "-1"}).status, 2);
  EXPECT_EQ(run({"--size"}).status, 2);
  EXPECT_EQ(run({"--mode", "middling"}).status, 2);
}

TEST(Cli, EachKindOfErrorHasItsStatus) {
  for (const ErrorKind kind : {ErrorKind::check_failed, ErrorKind::usage, ErrorKind::data,
                               ErrorKind::resources, ErrorKind::diverged, ErrorKind::internal}) {
    const Outcome o = run({}, [&]() -> int { fail(kind, "what happened"); });
    EXPECT_EQ(o.status, static_cast<int>(kind));
    EXPECT_EQ(o.err, "mythos-test: error: what happened\n");
    EXPECT_EQ(o.out, "");
  }
}

TEST(Cli, OutOfMemoryIsResources) {
  const Outcome plain = run({}, []() -> int { throw std::bad_alloc(); });
  EXPECT_EQ(plain.status, 4);
  EXPECT_TRUE(contains(plain.err, "out of memory"));
  const Outcome device =
      run({}, []() -> int { throw std::runtime_error("CUDA out of memory. Tried …\nstack"); });
  EXPECT_EQ(device.status, 4);
  EXPECT_FALSE(contains(device.err, "stack"));
}

TEST(Cli, AnythingElseIsInternal) {
  const Outcome o = run({}, []() -> int { throw std::logic_error("index"); });
  EXPECT_EQ(o.status, 70);
  EXPECT_TRUE(contains(o.err, "internal error: index")) << o.err;
}

TEST(Cli, QuietAndVerbose) {
  const auto talk = [] {
    log_debug("detail");
    log_info("news");
    log_warning("careful");
    return 0;
  };
  EXPECT_EQ(run({}, talk).err, "news\nwarning: careful\n");
  EXPECT_EQ(run({"-q"}, talk).err, "warning: careful\n");
  EXPECT_EQ(run({"--verbose"}, talk).err, "debug: detail\nnews\nwarning: careful\n");
}

}  // namespace
}  // namespace mythos
