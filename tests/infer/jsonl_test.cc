#include "infer/terminal/jsonl.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "../scratch.h"
#include "alone.h"
#include "base/error.h"
#include "fixture.h"

namespace mythos {
namespace {

class Jsonl : public testing::Test {
 protected:
  std::vector<JsonlPrompt> read(const std::string& content, const JsonlPrompt& defaults = {},
                                size_t max_line_bytes = 1 << 20) {
    const std::string path = (scratch_.path() / "p.jsonl").string();
    std::ofstream(path) << content;
    prompts_ = std::make_unique<JsonlPrompts>(path, defaults, 7, max_line_bytes);
    std::vector<JsonlPrompt> out;
    JsonlPrompt prompt;
    while (prompts_->next(prompt, true) == Arrival::here) out.push_back(prompt);
    return out;
  }

  Scratch scratch_;
  std::unique_ptr<JsonlPrompts> prompts_;
};

TEST_F(Jsonl, ALineOverridesWhatTheCommandLineSaid) {
  JsonlPrompt defaults;
  defaults.loops = 4;
  defaults.options.max_tokens = 9;
  defaults.options.stop = {"."};
  const auto got = read(
      "{\"prompt\": \"a\"}\n\n"
      "{\"prompt\":\"b\",\"id\":{\"k\":[1]},\"max_tokens\":3,\"temperature\":0,\"top_k\":5,"
      "\"top_p\":0.5,\"min_p\":0.1,\"seed\":8,\"loops\":2,\"stop\":[\"x\",\"y\"]}\n"
      "{\"loops\":\"auto\",\"stop\":\"z\",\"prompt\":\"\"}",
      defaults);
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0].prompt, "a");
  EXPECT_EQ(got[0].loops, 4);
  EXPECT_EQ(got[0].options.max_tokens, 9);
  EXPECT_EQ(got[0].options.stop, std::vector<std::string>{"."});
  EXPECT_EQ(got[1].options.max_tokens, 3);
  EXPECT_EQ(got[1].options.sampling.temperature, 0);
  EXPECT_EQ(got[1].options.sampling.top_k, 5);
  EXPECT_EQ(got[1].options.sampling.top_p, 0.5);
  EXPECT_EQ(got[1].options.sampling.min_p, 0.1);
  EXPECT_EQ(got[1].options.sampling.seed, 8u);
  EXPECT_EQ(got[1].loops, 2);
  EXPECT_FALSE(got[1].exits);
  EXPECT_EQ(got[1].options.stop, (std::vector<std::string>{"x", "y"}));
  EXPECT_TRUE(got[2].exits);
  EXPECT_EQ(got[2].loops, 7);
  EXPECT_EQ(got[1].id, nlohmann::json::parse("{\"k\":[1]}"));
  EXPECT_EQ(got[2].line, 4u);
  EXPECT_TRUE(got[0].id.is_null());
}

TEST_F(Jsonl, EachLineHasRandomNumbersOfItsOwnUnlessItNamesASeed) {
  const auto got = read(
      "{\"prompt\":\"a\"}\n{\"prompt\":\"a\"}\n{\"prompt\":\"a\",\"seed\":1}\n{\"prompt\":\"a\"}"
      "\n");
  ASSERT_EQ(got.size(), 4u);
  const uint64_t streams[] = {0, 1, 0, 3};
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(got[i].options.stream, streams[i]) << i;
}

// A line that is none of use has a fault that says what is allowed; those around it are read.
TEST_F(Jsonl, AFaultyLineCostsNoOther) {
  const std::pair<const char*, const char*> cases[] = {
      {"{\"prompt\":", "not valid JSON at column 11"},
      {"[1]", "not a JSON object"},
      {"{\"max_tokens\":3}", "has no member \"prompt\""},
      {"{\"prompt\":3}", "\"prompt\" is 3; allowed: a string"},
      {"{\"prompt\":\"a\",\"max_token\":3}",
       "unknown key \"max_token\". Did you mean 'max_tokens'?"},
      {"{\"prompt\":\"a\",\"max_tokens\":0}", "\"max_tokens\" is 0; allowed: a whole number, 1"},
      {"{\"prompt\":\"a\",\"max_tokens\":1e3}", "\"max_tokens\" is 1000.0; allowed: a whole"},
      {"{\"prompt\":\"a\",\"temperature\":\"hot\"}",
       "\"temperature\" is \"hot\"; allowed: a number"},
      {"{\"prompt\":\"a\",\"temperature\":-1}", "temperature is -1; allowed: 0 (greedy) or more"},
      {"{\"prompt\":\"a\",\"seed\":18446744073709551615}", "\"seed\" is 18446744073709551615;"},
      {"{\"prompt\":\"a\",\"loops\":0}", "\"loops\" is 0; allowed: \"auto\" or a whole number"},
      {"{\"prompt\":\"a\",\"loops\":\"many\"}", "\"loops\" is \"many\"; allowed: \"auto\""},
      {"{\"prompt\":\"a\",\"stop\":[1]}", "\"stop\" is [1]; allowed: a string or a list"},
      {"{\"prompt\":\"a\xff\"}", "not valid JSON at column 13"},
      {"{\"prompt\":\"a\",\"temperature\":1e999}", "has a number that is too large"},
      {"null", "not a JSON object"},
      {"}", "not valid JSON at column 1"}};
  std::string file;
  for (const auto& [line, message] : cases) {
    file += "{\"prompt\":\"good\"}\n" + std::string(line) + "\n";
  }
  const auto got = read(file);
  ASSERT_EQ(got.size(), 2 * std::size(cases));
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].number, i);
    if (i % 2 == 0) {
      EXPECT_FALSE(got[i].fault) << got[i].fault->what();
      EXPECT_EQ(got[i].prompt, "good");
      EXPECT_EQ(got[i].options.stream, i);
    } else {
      const auto& [line, message] = cases[i / 2];
      ASSERT_TRUE(got[i].fault) << line;
      EXPECT_TRUE(got[i].fault->message().starts_with(message)) << got[i].fault->message();
    }
    EXPECT_EQ(got[i].line, i + 1);
  }
}

TEST_F(Jsonl, AFaultyLineKeepsItsId) {
  const auto got = read("{\"prompt\":3,\"id\":\"x\"}\n{\"id\":[7]}\n");
  ASSERT_EQ(got.size(), 2u);
  EXPECT_TRUE(got[0].fault && got[1].fault);
  EXPECT_EQ(got[0].id, "x");
  EXPECT_EQ(got[1].id, nlohmann::json::parse("[7]"));
}

TEST_F(Jsonl, NestingOfAnyDepthIsAFaultOfItsLine) {
  const auto nested = [](size_t depth) {
    return "{\"prompt\":\"a\",\"id\":" + std::string(depth, '[') + std::string(depth, ']') + "}\n";
  };
  const auto got =
      read(nested(200) + nested(200'000) + std::string(200'000, '[') + "\n" + nested(1));
  ASSERT_EQ(got.size(), 4u);
  EXPECT_FALSE(got[0].fault);
  for (const size_t i : {1u, 2u}) {
    ASSERT_TRUE(got[i].fault);
    EXPECT_EQ(got[i].fault->message(), "nests deeper than 256 values");
  }
  EXPECT_FALSE(got[3].fault);
}

TEST_F(Jsonl, ALineThatIsTooLongIsAFaultOfItsOwn) {
  const auto line = [](size_t length) {
    return "{\"prompt\":\"" + std::string(length, 'x') + "\"}";
  };
  // Longer than a block of the reader, at the end too.
  const auto got = read(line(80'000) + "\n" + line(300'000) + "\n" + line(99'987) + "\n" +
                            line(99'988) + "\n" + line(1) + "\n" + line(200'000),
                        {}, 100'000);
  ASSERT_EQ(got.size(), 6u);
  const bool too_long[] = {false, true, false, true, false, true};
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].fault.has_value(), too_long[i]) << i;
    EXPECT_EQ(got[i].line, i + 1);
    if (!too_long[i]) continue;
    EXPECT_EQ(got[i].fault->message(), "longer than a line may be, 97.7 KiB");
  }
  EXPECT_EQ(got[2].prompt.size(), 99'987u);
}

// Runs of a small model over the lines of a file.
class RunJsonl : public testing::Test {
 protected:
  JsonlResult run(int64_t batch_size, const std::string& content) {
    const std::string path = (scratch_.path() / "p.jsonl").string();
    std::ofstream(path) << content;
    return run_of(path, batch_size);
  }
  JsonlResult run_of(const std::string& path, int64_t batch_size) {
    Engine engine(decoder_, tokenizer_, batch_size);
    JsonlPrompt defaults;
    defaults.options.max_tokens = 6;
    JsonlPrompts prompts(path, defaults, 3);
    run_.print = [this](const std::string& line) { printed_.push_back(json::parse(line)); };
    return run_jsonl(engine, prompts, run_);
  }

  using json = nlohmann::json;
  Scratch scratch_;
  Model model_ = small_model();
  Decoder decoder_{model_, fp32()};
  ByteTokenizer tokenizer_{false, false};
  JsonlRun run_;
  std::vector<json> printed_;
};

TEST_F(RunJsonl, EveryLineGetsItsResultInItsPlace) {
  run_.checkpoint = "runs/a";
  const JsonlResult result =
      run(2,
          "{\"prompt\":\"ab\",\"id\":7}\n{\"prompt\":\"\"}\n[1]\n"
          "{\"prompt\":\"" +
              std::string(60, 'x') + "\"}\n{\"prompt\":\"ab\",\"max_tokens\":2}");
  EXPECT_EQ(result.prompts, 5);
  EXPECT_EQ(result.failed, 3);
  EXPECT_NE(result.first_failure.find("p.jsonl:2: the prompt is empty"), std::string::npos)
      << result.first_failure;
  ASSERT_EQ(printed_.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(printed_[i]["line"], i + 1);
    EXPECT_EQ(printed_[i]["checkpoint"], "runs/a");
  }
  EXPECT_EQ(printed_[0]["id"], 7);
  EXPECT_EQ(printed_[0]["ids"].size(), 6u);
  EXPECT_EQ(printed_[2]["error"]["message"], "not a JSON object");
  EXPECT_TRUE(
      printed_[3]["error"]["message"].get<std::string>().starts_with("the prompt has 60 tokens"));
  EXPECT_EQ(printed_[4]["ids"].size(), 2u);
}

// However many lines in a row are of no use, a text beside them goes on, and the run ends with the
// file.
TEST_F(RunJsonl, FaultyLinesHoldUpNoText) {
  std::string content;
  for (int i = 0; i < 100; ++i) content += i == 10 ? "{\"prompt\":\"ab\"}\n" : "[]\n";
  run_.unordered = true;
  EXPECT_EQ(run(4, content).failed, 99);
  ASSERT_EQ(printed_.size(), 100u);
  // The text comes with the third step, which takes lines 9 to 12, or behind the four after it.
  const auto text = std::find_if(printed_.begin(), printed_.end(),
                                 [](const json& line) { return line.contains("text"); });
  EXPECT_EQ(text - printed_.begin(), 10 + 1 + 4 * 4);
}

TEST_F(RunJsonl, AStopEndsAllTextsWhereTheyAre) {
  StopSource source;
  run_.stop = source.token();
  int taken = 0;
  run_.on_prompt = [&](const JsonlPrompt& prompt) {
    EXPECT_EQ(prompt.prompt, "ab");
    if (++taken == 4) source.request_stop();
  };
  std::string content;
  for (int i = 0; i < 9; ++i) {
    content += "{\"prompt\":\"ab\",\"max_tokens\":" + std::to_string(i == 0 ? 2 : 40) + "}\n";
  }
  EXPECT_EQ(run(3, content).prompts, 4);
  ASSERT_EQ(printed_.size(), 4u);
  EXPECT_EQ(printed_[0]["stop_reason"], "max_tokens");
  for (const size_t i : {1u, 2u}) {
    EXPECT_EQ(printed_[i]["stop_reason"], "interrupted");
    EXPECT_EQ(printed_[i]["ids"].size(), 2u);
  }
  EXPECT_EQ(printed_[3]["stop_reason"], "interrupted");
  EXPECT_EQ(printed_[3]["ids"].size(), 0u);
}

TEST_F(RunJsonl, AFileThatCannotBeReadIsAnError) {
  try {
    run_of(scratch_.path().string(), 2);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_TRUE(error.message().ends_with("cannot read: Is a directory")) << error.message();
  }
}

TEST(LineReader, GivesTheLinesOfAPipeAsTheyCome) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  LineReader lines("/dev/fd/" + std::to_string(ends[0]));
  const auto put = [&](const std::string& text) {
    ASSERT_EQ(write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  };
  std::string line;
  EXPECT_EQ(lines.next(line, false), Arrival::not_yet);
  put("one\ntw");
  EXPECT_EQ(lines.next(line, true), Arrival::here);
  EXPECT_EQ(line, "one");
  EXPECT_EQ(lines.next(line, false), Arrival::not_yet);
  StopSource source;
  source.request_stop();
  EXPECT_EQ(lines.next(line, true, source.token()), Arrival::ended);
  put("o\n\nlast");
  EXPECT_EQ(lines.next(line, false), Arrival::here);
  EXPECT_EQ(line, "two");
  EXPECT_EQ(lines.next(line, false), Arrival::here);
  EXPECT_EQ(line, "");
  close(ends[1]);
  EXPECT_EQ(lines.next(line, true), Arrival::here);
  EXPECT_EQ(line, "last");
  EXPECT_EQ(lines.line_number(), 4u);
  EXPECT_EQ(lines.next(line, true), Arrival::ended);
  close(ends[0]);
}

TEST(LineReader, AMissingFileIsAnError) {
  EXPECT_THROW(LineReader("no such file"), Error);
}

TEST(OrderedLines, PrintsInOrderWhatComesInAny) {
  std::string printed;
  OrderedLines lines([&](const std::string& line) { printed += line; });
  lines.add(1, "b");
  EXPECT_EQ(printed, "");
  lines.add(0, "a");
  EXPECT_EQ(printed, "ab");
  lines.add(4, "e");
  lines.add(3, "d");
  EXPECT_EQ(lines.waiting(), 2u);
  lines.flush();
  EXPECT_EQ(printed, "abde");
}

TEST_F(Jsonl, ConversationsNeedAChatAndAMessageToAnswer) {
  const ByteTokenizer tokenizer(false, false);
  ChatFormat format;
  format.name = "brackets";
  format.before_role = "[";
  format.behind_role = "]";
  format.end = "|";
  const Chat chat(tokenizer, format, false);
  JsonlPrompt defaults;
  defaults.chat = &chat;
  const std::string lines =
      "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"stop\": \"x\"}\n"
      "{\"prompt\": \"yo\"}\n"
      "{\"messages\": [{\"role\": \"assistant\", \"content\": \"hi\"}]}\n"
      "{\"messages\": []}\n"
      "{\"messages\": [{\"role\": \"user\"}]}\n"
      "{\"messages\": 3}\n"
      "{\"messages\": [], \"prompt\": \"x\"}\n"
      "{\"stop\": \"x\"}";
  const auto got = read(lines, defaults);
  ASSERT_EQ(got.size(), 8u);
  EXPECT_EQ(got[0].prompt, "[user]hi|[assistant]");
  EXPECT_EQ(got[0].options.stop, (std::vector<std::string>{"x", "|"}));
  EXPECT_EQ(got[1].prompt, "[user]yo|[assistant]");
  const char* faults[] = {"must end with a message to answer",
                          "must end with a message to answer",
                          "has a message 0 without 'role' and 'content' as strings",
                          "is not a list of messages",
                          "give one of them",
                          "has neither a member \"messages\" nor \"prompt\""};
  for (size_t i = 0; i < std::size(faults); ++i) {
    ASSERT_TRUE(got[i + 2].fault);
    EXPECT_NE(got[i + 2].fault->message().find(faults[i]), std::string::npos)
        << got[i + 2].fault->message();
  }
  const auto plain = read(lines);
  ASSERT_TRUE(plain[0].fault);
  EXPECT_NE(plain[0].fault->message().find("give --chat"), std::string::npos);
  EXPECT_EQ(plain[1].prompt, "yo");
}

}  // namespace
}  // namespace mythos
