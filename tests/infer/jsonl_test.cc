#include "infer/jsonl.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "../scratch.h"
#include "base/error.h"

namespace mythos {
namespace {

class Jsonl : public testing::Test {
 protected:
  // The requests of a file, and what went wrong.
  std::vector<BatchRequest> read(const std::string& content, const BatchRequest& defaults = {}) {
    const std::string path = (scratch_.path() / "p.jsonl").string();
    std::ofstream(path) << content;
    prompts_ = std::make_unique<JsonlPrompts>(path, defaults, 7);
    std::vector<BatchRequest> out;
    error_.clear();
    try {
      BatchRequest request;
      while (prompts_->next(request, true) == Arrival::here) out.push_back(request);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      error_ = error.what();
      error_ = error_.substr(error_.find("p.jsonl"));
    }
    return out;
  }

  Scratch scratch_;
  std::unique_ptr<JsonlPrompts> prompts_;
  std::string error_;
};

TEST_F(Jsonl, ALineOverridesWhatTheCommandLineSaid) {
  BatchRequest defaults;
  defaults.loops = 4;
  defaults.options.max_tokens = 9;
  defaults.options.stop = {"."};
  const auto got = read(
      "{\"prompt\": \"a\"}\n\n"
      "{\"prompt\":\"b\",\"id\":{\"k\":[1]},\"max_tokens\":3,\"temperature\":0,\"top_k\":5,"
      "\"top_p\":0.5,\"min_p\":0.1,\"seed\":8,\"loops\":2,\"stop\":[\"x\",\"y\"]}\n"
      "{\"loops\":\"auto\",\"stop\":\"z\",\"prompt\":\"\"}",
      defaults);
  ASSERT_EQ(got.size(), 3u) << error_;
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
  EXPECT_EQ(prompts_->take_label(1).id, nlohmann::json::parse("{\"k\":[1]}"));
  EXPECT_EQ(prompts_->take_label(2).line, 4u);
  EXPECT_TRUE(prompts_->take_label(0).id.is_null());
}

TEST_F(Jsonl, EachLineHasRandomNumbersOfItsOwnUnlessItNamesASeed) {
  const auto got = read(
      "{\"prompt\":\"a\"}\n{\"prompt\":\"a\"}\n{\"prompt\":\"a\",\"seed\":1}\n{\"prompt\":\"a\"}"
      "\n");
  ASSERT_EQ(got.size(), 4u);
  const uint64_t streams[] = {0, 1, 0, 3};
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(got[i].options.stream, streams[i]) << i;
}

TEST_F(Jsonl, AFaultNamesTheLineAndWhatIsAllowed) {
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
      {"{\"prompt\":\"a\xff\"}", "not valid JSON at column 13"}};
  for (const auto& [line, message] : cases) {
    const auto got =
        read("{\"prompt\":\"first\"}\n" + std::string(line) + "\n{\"prompt\":\"c\"}\n");
    EXPECT_EQ(got.size(), 1u) << line;
    EXPECT_TRUE(error_.starts_with("p.jsonl:2: " + std::string(message))) << error_;
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
  EXPECT_EQ(lines.next(line, true, [] { return true; }), Arrival::ended);
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
  lines.flush();
  EXPECT_EQ(printed, "abde");
}

}  // namespace
}  // namespace mythos
