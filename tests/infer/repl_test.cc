#include "infer/terminal/repl.h"

#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "fixture.h"
#include "infer/terminal/interrupt.h"

namespace mythos {
namespace {

class ReplTest : public testing::Test {
 protected:
  static GenerateOptions options() {
    GenerateOptions options;
    options.max_tokens = 6;
    return options;
  }
  static Session::Options fp32() {
    Session::Options options;
    options.compute_type = ComputeType::fp32;
    options.exit = ExitRule::latent;
    options.exit_threshold = 1e9;
    options.exits = false;
    return options;
  }

  // What the line made the model say; messages go to message_.
  std::string say(const std::string& line) {
    text_.clear();
    message_.clear();
    open_ = repl_.handle(line);
    return text_;
  }

  Model model_ = small_model();
  ByteTokenizer tokenizer_{false, false};
  Session session_{model_, fp32()};
  std::string text_, message_;
  bool open_ = true;
  Repl repl_{session_,
             tokenizer_,
             options(),
             {[this](std::string_view text) { text_ += text; },
              [this](const std::string& message) { message_ += message; },
              [this](const std::string& statistics) { message_ += statistics; }},
             3};
};

TEST_F(ReplTest, ALineIsAPrompt) {
  const std::string text = say("hello");
  EXPECT_FALSE(text.empty());
  EXPECT_TRUE(text.ends_with('\n'));
  EXPECT_NE(message_.find("3 loops"), std::string::npos) << message_;
  EXPECT_TRUE(open_);
}

TEST_F(ReplTest, EmptyLinesAreIgnored) {
  EXPECT_EQ(say("  "), "");
  EXPECT_EQ(message_, "");
  EXPECT_TRUE(open_);
}

TEST_F(ReplTest, LoopsChangeTheText) {
  say(":temperature 0");
  const std::string three = say("hello");
  say(":loops 1");
  EXPECT_EQ(session_.loops(), 1);
  EXPECT_NE(say("hello"), three);
  say(":loops 3");
  EXPECT_EQ(say("hello"), three);
}

TEST_F(ReplTest, LoopsMayBeAuto) {
  say(":loops auto");
  say("hello");
  EXPECT_NE(message_.find("1.00 of 3 loops"), std::string::npos) << message_;
  say(":loops 2");
  say("hello");
  EXPECT_NE(message_.find(" 2 loops"), std::string::npos) << message_;
}

TEST_F(ReplTest, TheSamePromptGivesAnotherTextAndTheSeedBringsTheFirstBack) {
  say(":max 20");
  say(":seed 9");
  const std::string first = say("hello");
  EXPECT_NE(say("hello"), first);
  say(":seed 9");
  EXPECT_EQ(say("hello"), first);
}

TEST_F(ReplTest, MaxLimitsTheTokens) {
  say(":max 2");
  say("hello");
  EXPECT_EQ(message_.find("2 tokens in"), 0u) << message_;
}

TEST_F(ReplTest, QuitEndsAndHelpHelps) {
  say(":help");
  EXPECT_NE(message_.find(":loops N"), std::string::npos);
  EXPECT_TRUE(open_);
  say(":quit");
  EXPECT_FALSE(open_);
}

TEST_F(ReplTest, MistakesBecomeMessages) {
  const std::pair<const char*, const char*> cases[] = {
      {":lops 3", "Did you mean ':loops'?"},
      {":loops 0", ":loops is '0'; allowed: a whole number, 1 to"},
      {":loops many", ":loops is 'many'"},
      {":temperature hot", ":temperature is 'hot'"},
      {":temperature -1", "temperature is -1; allowed: 0 (greedy) or more"},
      {":max", ":max is ''; allowed: a whole number, 1 or more"}};
  for (const auto& [line, message] : cases) {
    say(line);
    EXPECT_NE(message_.find(message), std::string::npos) << line << ": " << message_;
    EXPECT_TRUE(open_);
  }
  say(std::string(60, 'x'));
  EXPECT_NE(message_.find("the prompt has 60 tokens"), std::string::npos) << message_;
  EXPECT_TRUE(open_);
}

TEST(InterruptGuard, NotesTheSignalAndRestoresWhatWasBefore) {
  struct sigaction before = {}, after = {};
  sigaction(SIGINT, nullptr, &before);
  {
    const InterruptGuard guard;
    EXPECT_FALSE(InterruptGuard::interrupted());
    raise(SIGINT);
    EXPECT_TRUE(InterruptGuard::interrupted());
  }
  sigaction(SIGINT, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

}  // namespace
}  // namespace mythos
