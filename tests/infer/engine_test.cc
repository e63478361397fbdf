#include "infer/engine/engine.h"

#include <gtest/gtest.h>

#include <map>
#include <new>

#include "../device.h"
#include "alone.h"
#include "fixture.h"

namespace mythos {
namespace {

Decoder::Options with_exit(ExitRule exit, double threshold) {
  Decoder::Options options = fp32();
  options.exit = exit;
  options.exit_threshold = threshold;
  return options;
}

Decoder::Options in_chunks_of(int64_t tokens) {
  Decoder::Options options = fp32();
  options.prefill_chunk = tokens;
  return options;
}

// Each token is a character, so that all text is certain at once. None is EOS.
class AsciiTokenizer : public ByteTokenizer {
 public:
  AsciiTokenizer() : ByteTokenizer(false, false) {}
  int64_t vocab_size() const override { return 128; }
};

std::vector<uint32_t> bytes(const std::string& text) {
  return {text.begin(), text.end()};
}

Request request_of(std::vector<uint32_t> ids, int64_t max_tokens) {
  Request request;
  request.ids = std::move(ids);
  request.options.max_tokens = max_tokens;
  return request;
}

// An engine, and what became of its requests by the order of their submission.
class Requests {
 public:
  Requests(Decoder& decoder, const Tokenizer& tokenizer, int64_t batch_size)
      : engine_(decoder, tokenizer, batch_size) {}

  // The request's number.
  size_t submit(Request request) {
    const size_t number = first_step_.size();
    first_step_.push_back(0);
    request.text = [this, number, text = request.text](std::string_view part) {
      if (first_step_[number] == 0) first_step_[number] = steps_;
      if (text) text(part);
    };
    request.done = [this, number](const Generation& generation) {
      EXPECT_TRUE(done_.emplace(number, generation).second && !errors_.contains(number));
    };
    request.failed = [this, number](const Error& error) {
      EXPECT_TRUE(errors_.emplace(number, error).second && !done_.contains(number));
    };
    engine_.submit(std::move(request));
    return number;
  }
  bool step() {
    ++steps_;
    return engine_.step();
  }
  void finish() {
    while (step()) {
    }
  }

  Engine& engine() { return engine_; }
  const EngineCounts& counts() const { return engine_.counts(); }
  const Generation& text(size_t number) const { return done_.at(number); }
  std::string error(size_t number) const {
    return errors_.contains(number) ? errors_.at(number).message() : "none";
  }
  bool is_done(size_t number) const { return done_.contains(number); }
  // The step that gave the first text of a request, from 1; 0 before.
  int64_t first_step(size_t number) const { return first_step_[number]; }

 private:
  Engine engine_;
  int64_t steps_ = 0;
  std::vector<int64_t> first_step_;
  std::map<size_t, Generation> done_;
  std::map<size_t, Error> errors_;
};

struct Kind {
  Attention attention;
  ExitRule exit;
};

class EngineWith : public OnDeviceTest<Kind> {};

// Prompts of all lengths, some too long for one native step or one chunk, some with a beginning in
// common, with loops, limits and temperatures of their own.
TEST_P(EngineWith, GivesEachTextTheTokensThatItGetsAlone) {
  const auto [attention, exit] = value();
  const Model model = small_model(attention, device_);
  const ByteTokenizer tokenizer(false, true);
  const std::string sea = "the sea has many voices, many gods";
  std::vector<Request> requests;
  for (size_t i = 0; i < 20; ++i) {
    Request request = request_of(bytes(sea.substr(0, 1 + i * 7 % 30)), 1 + i * 5 % 17);
    if (i % 4 > 1) request.ids[0] = static_cast<unsigned char>('a' + i);
    request.loops = static_cast<int64_t>(1 + i % 3);
    request.exits = exit != ExitRule::none && i % 3 != 0;
    request.options.sampling.temperature = i % 2 == 0 ? 0 : 1;
    request.options.stream = i;
    requests.push_back(request);
  }
  for (const int64_t chunk : {512, 5}) {
    Decoder::Options options = with_exit(exit, exit == ExitRule::kl ? 2 : 1);
    options.prefill_chunk = chunk;
    Alone alone(model, tokenizer, options);
    std::vector<Generation> want;
    int64_t saved = 0;
    for (const Request& request : requests) {
      alone.set_loops(request.loops, request.exits);
      want.push_back(alone.generate(request.ids, request.options));
      saved += want.back().decode_steps * want.back().loops - want.back().loops_run;
    }
    EXPECT_EQ(saved > 5, exit != ExitRule::none) << saved;
    for (const int64_t batch_size : {1, 4, 32}) {
      Requests all(alone.decoder(), tokenizer, batch_size);
      for (const Request& request : requests) all.submit(request);
      all.finish();
      for (size_t i = 0; i < requests.size(); ++i) {
        SCOPED_TRACE("request " + std::to_string(i) + " of " + std::to_string(batch_size) +
                     " in chunks of " + std::to_string(chunk));
        ASSERT_EQ(all.error(i), "none");
        const Generation& got = all.text(i);
        EXPECT_EQ(got.ids, want[i].ids);
        EXPECT_EQ(got.text, want[i].text);
        EXPECT_EQ(got.reason, want[i].reason);
        EXPECT_EQ(got.loops_run, want[i].loops_run);
        EXPECT_EQ(got.cache_bytes_per_token, want[i].cache_bytes_per_token);
      }
      if (chunk == 5 && batch_size == 32) {
        EXPECT_LT(all.counts().computed_prompt_tokens, all.counts().prompt_tokens);
      }
    }
  }
}

std::vector<OnDevice<Kind>> kinds() {
  std::vector<OnDevice<Kind>> all;
  for (const std::string& device : test_devices()) {
    for (const Attention attention : {Attention::gqa, Attention::mla}) {
      for (const ExitRule exit : {ExitRule::none, ExitRule::latent, ExitRule::kl}) {
        all.push_back({device, {attention, exit}});
      }
    }
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(Mechanisms, EngineWith, testing::ValuesIn(kinds()), [](const auto& info) {
  const Kind& kind = info.param.value;
  return info.param.device + "_" + std::string(enum_name(kind.attention)) + "_" +
         std::string(enum_name(kind.exit));
});

class EngineOf : public testing::Test {
 protected:
  Model model_ = small_model();
  Decoder decoder_{model_, fp32()};
  Decoder in_fours_{model_, in_chunks_of(4)};
  AsciiTokenizer tokenizer_;
};

TEST_F(EngineOf, AFinishedTextMakesRoomAtOnce) {
  Requests all(decoder_, tokenizer_, 2);
  // The first text lasts as long as the eight others, which follow each other beside it.
  for (int i = 0; i < 9; ++i) all.submit(request_of(bytes("x"), i == 0 ? 33 : 5));
  all.finish();
  EXPECT_EQ(all.counts().texts, 9);
  EXPECT_EQ(all.counts().tokens, 33 + 8 * 5);
  EXPECT_EQ(all.counts().steps, 32);  // the prompts give the first tokens
  EXPECT_DOUBLE_EQ(all.counts().mean_rows(), 2);
}

// What is wrong with a request, and a sink that cannot take the text, costs no other its text.
TEST_F(EngineOf, ARequestFailsAlone) {
  const Generation want =
      Alone(model_, tokenizer_).generate(bytes("ab"), request_of({}, 6).options);
  Requests all(decoder_, tokenizer_, 3);
  all.submit(request_of(bytes("ab"), 6));
  all.submit(request_of(bytes("ab"), 0));
  all.submit(request_of(std::vector<uint32_t>(60, 'x'), 6));
  all.submit(request_of({}, 6));
  all.submit(request_of({'a', 258}, 6));
  Request closed = request_of(bytes("ab"), 6);
  int parts = 0;
  closed.text = [&](std::string_view) {
    if (++parts == 3) fail(ErrorKind::resources, "the reader has gone");
  };
  all.submit(closed);
  Request loops = request_of(bytes("ab"), 6);
  loops.loops = -2;
  all.submit(loops);
  all.submit(request_of(bytes("ab"), 6));
  all.finish();
  EXPECT_EQ(all.text(0).ids, want.ids);
  EXPECT_EQ(all.error(1), "max-tokens is 0; allowed: 1 or more");
  EXPECT_EQ(all.error(2),
            "the prompt has 60 tokens, but the model's context holds 48 (max_seq_len).");
  EXPECT_EQ(all.error(3), "the prompt has no tokens");
  EXPECT_TRUE(all.error(4).starts_with("token id 258 is outside")) << all.error(4);
  EXPECT_EQ(all.error(5), "the reader has gone");
  EXPECT_TRUE(all.error(6).starts_with("loops is -2; allowed: 1 to")) << all.error(6);
  EXPECT_EQ(all.text(7).ids, want.ids);
  EXPECT_EQ(all.counts().texts, 2);
  EXPECT_EQ(all.counts().failed, 6);
  EXPECT_EQ(all.engine().requests(), 0);
}

TEST_F(EngineOf, MemoryThatRunsOutForARequestIsItsFailureAlone) {
  Requests all(decoder_, tokenizer_, 2);
  Request many = request_of(bytes("ab"), 6);
  many.text = [](std::string_view) { throw std::bad_alloc(); };
  all.submit(many);
  all.submit(request_of(bytes("cd"), 6));
  all.finish();
  EXPECT_EQ(all.error(0), "out of memory for a prompt of 2 tokens at 3 loops");
  EXPECT_EQ(all.text(1).ids.size(), 6u);
}

TEST_F(EngineOf, AStopEndsItsOwnTextAlone) {
  StopSource source;
  Requests all(decoder_, tokenizer_, 2);
  Request stopped = request_of(bytes("ab"), 30);
  stopped.stop = source.token();
  int parts = 0;
  stopped.text = [&](std::string_view) {
    if (++parts == 5) source.request_stop();
  };
  all.submit(stopped);
  all.submit(request_of(bytes("cd"), 30));
  Request waiting = request_of(bytes("ef"), 30);
  waiting.stop = source.token();
  all.submit(waiting);
  all.finish();
  EXPECT_EQ(all.text(0).reason, StopReason::interrupted);
  EXPECT_EQ(all.text(0).ids.size(), 5u);
  EXPECT_FALSE(all.text(0).stopped_in_prompt());
  EXPECT_EQ(all.text(1).reason, StopReason::max_tokens);
  EXPECT_EQ(all.text(1).ids.size(), 30u);
  EXPECT_TRUE(all.text(2).stopped_in_prompt());
}

TEST_F(EngineOf, AStopEndsAPromptBetweenItsChunks) {
  StopSource source;
  Requests all(in_fours_, tokenizer_, 2);
  Request request = request_of(small_prompt(40), 5);
  request.stop = source.token();
  all.submit(request);
  all.step();
  all.step();
  source.request_stop();
  EXPECT_FALSE(all.step());
  EXPECT_TRUE(all.text(0).stopped_in_prompt());
  EXPECT_EQ(all.counts().computed_prompt_tokens, 8);
  EXPECT_EQ(all.counts().prompt_tokens, 0);
}

// Ten steps take a prompt of 40 tokens in. Meanwhile a text under way gets a token in each, and a
// short prompt that comes later its first token in the second step from then on.
TEST_F(EngineOf, ALongPromptEntersBetweenTheStepsOfOthers) {
  Requests all(in_fours_, tokenizer_, 3);
  int under_way = 0;
  Request first = request_of(bytes("ab"), 40);
  first.text = [&](std::string_view) { ++under_way; };
  all.submit(first);
  all.step();
  const size_t long_one = all.submit(request_of(small_prompt(40), 4));
  all.step();
  const size_t short_one = all.submit(request_of(bytes("xyz"), 4));
  for (int step = 0; step < 4; ++step) all.step();
  EXPECT_EQ(all.first_step(short_one), 2 + 2);
  EXPECT_EQ(all.first_step(long_one), 0);
  EXPECT_EQ(under_way, 1 + 6);
  all.finish();
  // The fourth step went to the short prompt.
  EXPECT_EQ(all.first_step(long_one), 1 + 10 + 1);
  EXPECT_EQ(all.counts().computed_prompt_tokens, 2 + 40 + 3);
}

TEST_F(EngineOf, ABeginningThatPromptsShareIsComputedOnce) {
  std::vector<uint32_t> one = small_prompt(30), other = one;
  for (size_t i = 22; i < other.size(); ++i) other[i] = static_cast<uint32_t>('A' + i % 26);
  Requests all(in_fours_, tokenizer_, 4);
  all.submit(request_of(one, 12));
  all.submit(request_of(other, 12));
  all.submit(request_of(one, 12));
  all.submit(request_of(std::vector(one.begin(), one.begin() + 20), 3));
  all.finish();
  EXPECT_EQ(all.counts().prompt_tokens, 3 * 30 + 20);
  // 20 of the other prompt are copied; all of the same prompt; of the last all but the chunk whose
  // last token gives the first of the text.
  EXPECT_EQ(all.counts().computed_prompt_tokens, 30 + 10 + 0 + 4);
  Alone alone(model_, tokenizer_, in_chunks_of(4));
  const GenerateOptions options = request_of({}, 12).options;
  EXPECT_EQ(all.text(1).ids, alone.generate(other, options).ids);
  for (const size_t same : {0u, 2u}) {
    EXPECT_EQ(all.text(same).ids, alone.generate(one, options).ids);
  }
  EXPECT_NE(all.text(0).ids, all.text(1).ids);
}

// The cache of the text that ended last is there for the next one; only at the same loops.
TEST_F(EngineOf, APromptTakesOverWhatAnEarlierOneComputed) {
  Engine engine(in_fours_, tokenizer_, 1);
  const auto computed = [&](std::vector<uint32_t> ids, int64_t loops) {
    const int64_t before = engine.counts().computed_prompt_tokens;
    Request request = request_of(std::move(ids), 3);
    request.loops = loops;
    engine.complete(std::move(request));
    return engine.counts().computed_prompt_tokens - before;
  };
  std::vector<uint32_t> longer = small_prompt(10);
  longer.push_back('Z');
  EXPECT_EQ(computed(small_prompt(10), 3), 10);
  EXPECT_EQ(computed(longer, 3), 3);
  EXPECT_EQ(computed(longer, 2), 11);
  EXPECT_EQ(computed(longer, 2), 0);
  EXPECT_EQ(computed(bytes("other"), 2), 5);
  EXPECT_EQ(computed(longer, 2), 11);
}

TEST_F(EngineOf, DraftsGoBesideOtherTexts) {
  Requests all(decoder_, tokenizer_, 2);
  Request drafted = request_of(small_prompt(6), 20);
  drafted.options.sampling.temperature = 0;
  Request plain = drafted;
  drafted.options.speculation = {1, 3};
  all.submit(drafted);
  all.submit(plain);
  all.finish();
  EXPECT_EQ(all.text(0).ids, all.text(1).ids);
  EXPECT_GT(all.text(0).speculation.verifications, 0);
  EXPECT_EQ(all.counts().rows, 19);  // of the plain text alone
}

TEST_F(EngineOf, TakesRequestsWhileItRuns) {
  Engine engine(decoder_, tokenizer_, 1);
  int texts = 0;
  Request request = request_of(bytes("ab"), 2);
  request.done = [&](const Generation&) {
    if (++texts < 4) engine.submit(request);
  };
  engine.submit(request);
  while (engine.step()) {
  }
  EXPECT_EQ(texts, 4);
}

TEST_F(EngineOf, MoreThanAStepHoldsIsAnError) {
  EXPECT_THROW(Engine(decoder_, tokenizer_, 33), Error);
  EXPECT_THROW(Engine(decoder_, tokenizer_, 0), Error);
}

}  // namespace
}  // namespace mythos
