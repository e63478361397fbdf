#include "infer/terminal/repl.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "alone.h"
#include "fixture.h"

namespace mythos {
namespace {

class ReplTest : public testing::Test {
 protected:
  static Repl::Settings settings() {
    Repl::Settings settings;
    settings.options.max_tokens = 6;
    settings.auto_loops = 3;
    return settings;
  }
  static Decoder::Options decoder_options() {
    Decoder::Options options = fp32();
    options.exit = ExitRule::latent;
    options.exit_threshold = 1e9;
    return options;
  }

  // What the line made the model say; messages go to message_.
  std::string say(const std::string& line, StopToken stop = {}) {
    text_.clear();
    message_.clear();
    open_ = repl_.handle(line, stop);
    return text_;
  }

  Model model_ = small_model();
  ByteTokenizer tokenizer_{false, false};
  Decoder decoder_{model_, decoder_options()};
  Engine engine_{decoder_, tokenizer_, 1};
  StopSource source_;
  size_t stop_behind_ = 1000;  // bytes of the text
  std::string text_, message_;
  bool open_ = true;
  Repl repl_{engine_,
             settings(),
             {[this](std::string_view text) {
                text_ += text;
                if (text_.size() >= stop_behind_) source_.request_stop();
              },
              [this](const std::string& message) { message_ += message; },
              [this](const std::string& statistics) { message_ += statistics; }}};
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
  EXPECT_EQ(repl_.settings().loops, 1);
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

TEST_F(ReplTest, AStopEndsTheTextAndTheConversationGoesOn) {
  say(":max 20");
  stop_behind_ = 3;
  EXPECT_LT(say("hello", source_.token()).size(), 12u);
  EXPECT_NE(message_.find("stopped: interrupted"), std::string::npos) << message_;
  EXPECT_TRUE(open_);
  // A stop that comes before the first token leaves nothing to show.
  EXPECT_EQ(say("hello", source_.token()), "");
  EXPECT_EQ(message_, "");
  EXPECT_TRUE(open_);
  stop_behind_ = 1000;
  EXPECT_GT(say("hello").size(), 10u);
}

// Messages are "[ROLE]CONTENT|".
class ChatReplTest : public testing::Test {
 protected:
  Repl::Settings settings() const {
    ChatFormat format;
    format.name = "brackets";
    format.before_role = "[";
    format.behind_role = "]";
    format.end = "|";
    format.assistant = "a";
    format.answer = answer_;
    Repl::Settings settings;
    settings.options.max_tokens = 6;
    settings.options.sampling.temperature = 0;
    settings.options.stop = {"|"};
    settings.chat = Chat(tokenizer_, format, false);
    return settings;
  }
  // What the line made the model say, without the line feed.
  std::string say(const std::string& line) {
    if (!repl_) {
      repl_.emplace(engine_, settings(),
                    Repl::Output{[this](std::string_view text) { text_ += text; },
                                 [this](const std::string& message) { message_ += message; },
                                 [](const std::string&) {}});
    }
    text_.clear();
    message_.clear();
    EXPECT_TRUE(repl_->handle(line));
    if (text_.ends_with('\n')) text_.pop_back();
    return text_;
  }
  // What the model answers to a whole conversation without an earlier one's cache.
  std::string answer_to(const std::string& conversation) {
    Engine fresh(decoder_, tokenizer_, 1);
    Request request;
    request.ids = tokenizer_.encode(conversation);
    request.options = settings().options;
    return fresh.complete(std::move(request)).text;
  }

  Model model_ = small_model();
  ByteTokenizer tokenizer_{false, false};
  Decoder decoder_{model_, fp32()};
  Engine engine_{decoder_, tokenizer_, 1};
  std::string answer_, text_, message_;
  std::optional<Repl> repl_;
};

TEST_F(ChatReplTest, ATurnGoesOnBehindTheAnswerAndComputesOnlyWhatIsNew) {
  const std::string first = say("hi");
  EXPECT_EQ(first, answer_to("[user]hi|[a]"));
  const int64_t prompt = engine_.counts().computed_prompt_tokens, drawn = engine_.counts().tokens;
  EXPECT_EQ(prompt, 12);
  ASSERT_EQ(drawn, 6);
  const std::string second = say("yo");
  EXPECT_EQ(second, answer_to("[user]hi|[a]" + first + "|[user]yo|[a]"));
  // The end of the answer, the turn, and the token that was drawn last and not fed.
  EXPECT_EQ(engine_.counts().computed_prompt_tokens - prompt, 14);
  EXPECT_EQ(engine_.counts().prompt_tokens, 12 + 12 + 6 + 13);
}

TEST_F(ChatReplTest, NewBeginsAnotherConversation) {
  const std::string first = say("hi");
  EXPECT_NE(say("hi"), first);
  say(":new");
  EXPECT_EQ(message_, "");
  EXPECT_EQ(say("hi"), first);
  say(":help");
  EXPECT_NE(message_.find(":new "), std::string::npos);
}

TEST_F(ChatReplTest, AMessageThatDoesNotFitLeavesTheConversationAsItWas) {
  const std::string first = say("hi");
  EXPECT_EQ(say(std::string(40, 'x')), "");
  EXPECT_NE(message_.find("the model's context holds 48"), std::string::npos) << message_;
  EXPECT_EQ(say("yo"), answer_to("[user]hi|[a]" + first + "|[user]yo|[a]"));
}

TEST_F(ChatReplTest, WhatAnswersBeginWithIsShownAndPartOfThePrompt) {
  answer_ = "(";
  EXPECT_EQ(say("hi"), "(" + answer_to("[user]hi|[a]("));
}

}  // namespace
}  // namespace mythos
