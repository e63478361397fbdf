#include "base/cli.h"

#include <sys/resource.h>
#include <unistd.h>

#include <new>
#include <system_error>
#include <thread>

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

TEST(Cli, NumbersArePlainAndFinite) {
  int64_t whole = 0;
  uint64_t count = 0;
  double share = 0;
  std::string text;
  const auto status_of = [&](std::string option, std::string value) {
    std::string program = "mythos-test";
    char* argv[] = {program.data(), option.data(), value.data(), nullptr};
    testing::internal::CaptureStderr();
    const int status = run_command(
        3, argv,
        {program, "Test.", "",
         [&](CLI::App& app) {
           app.add_option("--whole", whole)->type_name("N");
           app.add_option("--count", count)->type_name("N");
           app.add_option("--share", share)->type_name("F")->check(CLI::Range(0.0, 1.0));
           app.add_option("--text", text)->type_name("S");
         },
         [] { return 0; }});
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(said.empty(), status == 0) << said;
    return status;
  };
  for (const char* bad : {"nan", "-NaN", "inf", "-inf", "Infinity", "1e999", "0x10", "010", "", " ",
                          "1 ", "99999999999999999999", "-99999999999999999999", "1,5"}) {
    for (const char* option : {"--whole", "--count", "--share"}) {
      EXPECT_EQ(status_of(option, bad), 2) << option << " " << bad;
    }
    EXPECT_EQ(status_of("--text", bad), 0) << bad;
    EXPECT_EQ(text, bad);
  }
  EXPECT_EQ(status_of("--whole", "9223372036854775807"), 0);
  EXPECT_EQ(whole, INT64_MAX);
  EXPECT_EQ(status_of("--count", "9223372036854775807"), 0);
  EXPECT_EQ(count, uint64_t{INT64_MAX});
  EXPECT_EQ(status_of("--whole", "9223372036854775808"), 2);
  EXPECT_EQ(status_of("--count", "-1"), 2);
  EXPECT_EQ(status_of("--share", "+1e-3"), 0);
  EXPECT_EQ(share, 1e-3);
}

TEST(Cli, AnOptionRefusesItsValueLikeAnyFault) {
  std::string program = "mythos-test", option = "--kind=x";
  char* argv[] = {program.data(), option.data(), nullptr};
  const auto refuse = [](const std::string& value) {
    fail(ErrorKind::usage, "--kind = \"" + value + "\": expected y.");
  };
  testing::internal::CaptureStderr();
  const int status =
      run_command(2, argv,
                  {program, "Test.", "",
                   [&](CLI::App& app) { app.add_option_function<std::string>("--kind", refuse); },
                   [] { return 0; }});
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "mythos-test: error: --kind = \"x\": expected y.\n");
  EXPECT_EQ(status, 2);
}

TEST(Cli, WordsFromOutsideAreEscaped) {
  const Outcome thrown =
      run({}, []() -> int { fail(ErrorKind::data, "\x1b[31mred\u009b", "Try 'a\tb'."); });
  EXPECT_EQ(thrown.err, "mythos-test: error: \\x1b[31mred\\u009b\nTry 'a\\tb'.\n");
  EXPECT_EQ(
      run({"--mode", "\x1b[31m\nmythos-test: error: forged"}).err,
      "mythos-test: error: --mode: \\x1b[31m\\nmythos-test: error: forged not in {fast,slow}\n"
      "Try 'mythos-test --help'.\n");
  EXPECT_EQ(run({}, []() -> int { throw std::runtime_error("a\x1b\nb"); }).err,
            "mythos-test: error: internal error: a\\x1b\\nb\n");
  testing::internal::CaptureStderr();
  log_info("a\x1b[1m\xff");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "a\\x1b[1m\\xff\n");
}

TEST(Cli, ErrorsOfTheStandardLibraryAreToldInOurWords) {
  const Outcome size = run({}, []() -> int { throw std::length_error("vector::_M_create"); });
  EXPECT_EQ(size.status, 4);
  EXPECT_EQ(size.err, "mythos-test: error: out of memory: a size is larger than any memory\n");
  const Outcome file =
      run({}, []() -> int { return static_cast<int>(fs::file_size("/absent\x1b/file")); });
  EXPECT_EQ(file.status, 3);
  EXPECT_EQ(file.err,
            "mythos-test: error: cannot use /absent\\x1b/file: No such file or directory\n");
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
  const Outcome device = run({}, []() -> int {
    throw std::runtime_error("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0\nstack");
  });
  EXPECT_EQ(device.status, 4);
  EXPECT_EQ(device.err,
            "mythos-test: error: out of memory of the CUDA device: cannot allocate 2.00 GiB\n");
  const Outcome library = run({}, []() -> int {
    throw std::runtime_error(
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`");
  });
  EXPECT_EQ(library.status, 4);
  EXPECT_EQ(library.err, "mythos-test: error: out of memory of the CUDA device\n");
  const Outcome host = run({}, []() -> int {
    throw std::runtime_error(
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: "
        "can't allocate memory: you tried to allocate 8589934592000 bytes. Error code 12");
  });
  EXPECT_EQ(host.status, 4);
  EXPECT_EQ(host.err, "mythos-test: error: out of memory: cannot allocate 8589934592000 bytes\n");
  const Outcome overflow = run({}, []() -> int {
    throw std::runtime_error(
        "Storage size calculation overflowed with sizes=[1, 2]\nException raised from");
  });
  EXPECT_EQ(overflow.status, 4);
  EXPECT_EQ(overflow.err, "mythos-test: error: out of memory\n");
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

TEST(Cli, WhatOneDnnSaysWithoutMemoryIsResources) {
  const Outcome o =
      run({}, []() -> int { throw std::runtime_error("could not create a primitive"); });
  EXPECT_EQ(o.status, 4);
  EXPECT_EQ(o.err, "mythos-test: error: out of memory\n");
}

TEST(Cli, AThreadThatCannotStartIsResources) {
  const Outcome o = run({}, []() -> int {
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
  });
  EXPECT_EQ(o.status, 4);
  EXPECT_TRUE(contains(o.err, "cannot start a thread: Resource temporarily unavailable\n"));
}

// Runs a job in which memory ends, in a process with a limited address space: one that holds what
// AddressSanitizer reserves.
void run_out_of_memory(const std::function<int()>& job) {
  const rlimit limit{rlim_t{1} << 46, rlim_t{1} << 46};
  setrlimit(RLIMIT_AS, &limit);
  std::string program = "mythos-test";
  char* argv[] = {program.data(), nullptr};
  const Command command{program, "Test.", "", [](CLI::App&) {}, job, "Ask for less."};
  _exit(run_command(1, argv, command));
}

TEST(CliDeathTest, WhatHelpsAgainstALackOfMemoryIsTold) {
  EXPECT_EXIT(run_out_of_memory([]() -> int { throw std::bad_alloc(); }),
              testing::ExitedWithCode(4),
              "mythos-test: error: out of memory\nAsk for less. This process is limited to 64.* of "
              "address space \\(ulimit -v\\)\\.\n");
}

TEST(CliDeathTest, AFileThatCannotBeMappedIsALackOfMemory) {
  const auto job = []() -> int {
    fail(ErrorKind::resources, "cannot map x: Cannot allocate memory");
  };
  EXPECT_EXIT(run_out_of_memory(job), testing::ExitedWithCode(4),
              "cannot map x: Cannot allocate memory\nAsk for less. This process");
}

TEST(CliDeathTest, WhatAThreadThrowsIsTold) {
  EXPECT_EXIT(run_out_of_memory([] {
                std::thread([] { throw std::bad_alloc(); }).join();
                return 0;
              }),
              testing::ExitedWithCode(4), "mythos-test: error: out of memory\n");
  EXPECT_EXIT(run_out_of_memory([] {
                std::thread([] { throw std::runtime_error("odd"); }).join();
                return 0;
              }),
              testing::ExitedWithCode(70), "mythos-test: error: internal error: odd\n");
}

}  // namespace
}  // namespace mythos
