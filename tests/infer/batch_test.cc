#include "infer/engine/batch.h"

#include <gtest/gtest.h>

#include <map>

#include "../device.h"
#include "fixture.h"
#include "infer/engine/generate.h"

namespace mythos {
namespace {

Decoder::Options fp32(ExitRule exit = ExitRule::none, double threshold = 0) {
  Decoder::Options options;
  options.compute_type = ComputeType::fp32;
  options.exit = exit;
  options.exit_threshold = threshold;
  return options;
}

// Prompts of all lengths, some too long for one native step, with loops, limits and temperatures of
// their own.
std::vector<BatchRequest> mixed_requests(size_t count, bool some_exit) {
  std::vector<BatchRequest> requests(count);
  for (size_t i = 0; i < count; ++i) {
    BatchRequest& request = requests[i];
    request.number = i;
    request.prompt = std::string("the sea has many voices, many gods").substr(0, 1 + i * 7 % 30);
    request.prompt[0] = static_cast<char>('a' + i);
    request.loops = static_cast<int64_t>(1 + i % 4);
    request.exits = some_exit && i % 3 != 0;
    request.options.max_tokens = static_cast<int64_t>(1 + i * 5 % 17);
    request.options.sampling.temperature = i % 2 == 0 ? 0 : 1;
    request.options.stream = i;
  }
  return requests;
}

void refuse_none(const BatchRequest& request, const Error& error) {
  ADD_FAILURE() << "request " << request.number << ": " << error.what();
}

struct Kind {
  Attention attention;
  ExitRule exit;
};

using Results = std::map<uint64_t, Generation>;

Results run(Decoder& decoder, const std::vector<BatchRequest>& requests, int64_t batch_size,
            BatchCounts* counts = nullptr) {
  const ByteTokenizer tokenizer(false, true);
  Results results;
  size_t next = 0;
  BatchGenerator batch(
      decoder, tokenizer, batch_size,
      [&](BatchRequest& to, bool) {
        if (next == requests.size()) return Arrival::ended;
        to = requests[next++];
        return Arrival::here;
      },
      [&](const BatchRequest& request, const Generation& done) {
        EXPECT_TRUE(results.emplace(request.number, done).second);
      },
      refuse_none);
  batch.run();
  if (counts) *counts = batch.counts();
  return results;
}

class Batch : public OnDeviceTest<Kind> {};

TEST_P(Batch, GivesEachTextTheTokensThatItGetsAlone) {
  const auto [attention, exit] = value();
  const Model model = small_model(attention, device_);
  const ByteTokenizer tokenizer(false, true);
  const auto requests = mixed_requests(13, exit != ExitRule::none);
  const Decoder::Options options = fp32(exit, exit == ExitRule::kl ? 2 : 1);
  Session::Options alone;
  static_cast<Decoder::Options&>(alone) = options;
  Session session(model, alone);
  Generator generator(session, tokenizer);
  Decoder decoder(model, options);
  int64_t saved = 0;
  Results by_size[3];
  const int64_t sizes[3] = {1, 4, 32};
  for (int i = 0; i < 3; ++i) by_size[i] = run(decoder, requests, sizes[i]);
  for (const BatchRequest& request : requests) {
    session.set_loops(request.loops, request.exits);
    generator.set_prompt(prompt_ids(tokenizer, request.prompt));
    const Generation want = generator.generate(request.options);
    saved += want.decode_steps * want.loops - want.loops_run;
    for (int i = 0; i < 3; ++i) {
      const Generation& got = by_size[i].at(request.number);
      const std::string what =
          "line " + std::to_string(request.number) + " of " + std::to_string(sizes[i]);
      EXPECT_EQ(got.ids, want.ids) << what;
      EXPECT_EQ(got.text, want.text) << what;
      EXPECT_EQ(got.reason, want.reason) << what;
      EXPECT_EQ(got.loops_run, want.loops_run) << what;
      EXPECT_EQ(got.cache_bytes_per_token, want.cache_bytes_per_token) << what;
    }
  }
  EXPECT_EQ(saved > 5, exit != ExitRule::none) << saved;
}

// The exits are computed on the CPU.
std::vector<OnDevice<Kind>> kinds() {
  std::vector<OnDevice<Kind>> all;
  for (const std::string& device : test_devices()) {
    for (const Attention attention : {Attention::gqa, Attention::mla}) {
      for (const ExitRule exit : {ExitRule::none, ExitRule::latent, ExitRule::kl}) {
        if (device == "cpu" || exit == ExitRule::none) all.push_back({device, {attention, exit}});
      }
    }
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(Mechanisms, Batch, testing::ValuesIn(kinds()), [](const auto& info) {
  const Kind& kind = info.param.value;
  return info.param.device + "_" + std::string(enum_name(kind.attention)) + "_" +
         std::string(enum_name(kind.exit));
});

class BatchOf : public testing::Test {
 protected:
  Model model_ = small_model();
  Decoder decoder_{model_, fp32()};
  ByteTokenizer tokenizer_{false, false};
};

TEST_F(BatchOf, AFinishedTextMakesRoomAtOnce) {
  std::vector<BatchRequest> requests(9);
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].number = i;
    requests[i].prompt = "x";
    // The first text lasts as long as the eight others, which follow each other beside it.
    requests[i].options.max_tokens = i == 0 ? 33 : 5;
  }
  BatchCounts counts;
  run(decoder_, requests, 2, &counts);
  EXPECT_EQ(counts.texts, 9);
  EXPECT_EQ(counts.tokens, 33 + 8 * 5);
  EXPECT_EQ(counts.steps, 32);  // the prompts give the first tokens
  EXPECT_DOUBLE_EQ(counts.mean_rows(), 2);
}

// A prompt that is too long, one without tokens and one that its source could not read, among
// others.
TEST_F(BatchOf, ARequestThatFailsIsRefusedAndTheOthersGoOn) {
  int asked = 0;
  std::vector<uint64_t> done;
  std::map<uint64_t, std::string> refused;
  BatchGenerator batch(
      decoder_, tokenizer_, 2,
      [&](BatchRequest& to, bool) {
        if (asked == 7) return Arrival::ended;
        to.number = static_cast<uint64_t>(asked++);
        to.prompt = to.number == 2 ? std::string(60, 'x') : to.number == 3 ? "" : "ab";
        if (to.number == 0) to.options.max_tokens = 0;
        if (to.number == 5) to.fault = Error(ErrorKind::data, "no JSON");
        if (to.number > 0) to.options.max_tokens = 6;
        return Arrival::here;
      },
      [&](const BatchRequest& request, const Generation&) { done.push_back(request.number); },
      [&](const BatchRequest& request, const Error& error) {
        refused[request.number] = error.message();
      });
  batch.run();
  EXPECT_EQ(done, (std::vector<uint64_t>{1, 4, 6}));
  ASSERT_EQ(refused.size(), 4u);
  EXPECT_EQ(refused[0], "max-tokens is 0; allowed: 1 or more");
  EXPECT_TRUE(refused[2].starts_with("the prompt has 60 tokens")) << refused[2];
  EXPECT_TRUE(refused[3].starts_with("the prompt is empty, and the tokenizer")) << refused[3];
  EXPECT_EQ(refused[5], "no JSON");
  EXPECT_EQ(batch.counts().texts, 3);
  EXPECT_EQ(batch.counts().refused, 4);
}

// However many requests are refused in a row, a text beside them goes on, and the run ends with the
// source.
TEST_F(BatchOf, RefusedRequestsDoNotHoldUpATextOrEndTheRun) {
  int asked = 0, before_done = 0, refused = 0;
  BatchGenerator batch(
      decoder_, tokenizer_, 4,
      [&](BatchRequest& to, bool) {
        if (asked == 100) return Arrival::ended;
        to.prompt = "ab";
        to.options.max_tokens = 6;
        if (asked++ != 10) to.fault = Error(ErrorKind::data, "no JSON");
        return Arrival::here;
      },
      [&](const BatchRequest&, const Generation&) { before_done = refused; },
      [&](const BatchRequest&, const Error&) { ++refused; });
  batch.run();
  EXPECT_EQ(refused, 99);
  EXPECT_EQ(before_done, 10 + 1 + 5 * 4 - 4);  // four at a time for each of five steps
}

TEST_F(BatchOf, AnotherFaultEndsTheSourceAndWhatWasBeforeIsFinished) {
  int asked = 0;
  std::vector<uint64_t> done;
  BatchGenerator batch(
      decoder_, tokenizer_, 4,
      [&](BatchRequest& to, bool) {
        to.number = static_cast<uint64_t>(asked++);
        to.prompt = "ab";
        to.options.max_tokens = 6;
        if (asked == 3) fail(ErrorKind::data, "cannot read");
        return Arrival::here;
      },
      [&](const BatchRequest& request, const Generation&) { done.push_back(request.number); },
      refuse_none);
  try {
    batch.run();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "cannot read");
  }
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(done, (std::vector<uint64_t>{0, 1}));
}

TEST_F(BatchOf, CancellingEndsTheTextsWhereTheyAre) {
  int asked = 0, given = 0;
  std::vector<Generation> done;
  BatchGenerator batch(
      decoder_, tokenizer_, 3,
      [&](BatchRequest& to, bool) {
        to.prompt = "ab";
        to.options.max_tokens = 30;
        ++given;
        return Arrival::here;
      },
      [&](const BatchRequest&, const Generation& generation) { done.push_back(generation); },
      refuse_none);
  batch.run([&] { return ++asked > 20; });
  ASSERT_EQ(done.size(), 3u);
  EXPECT_EQ(given, 3);
  for (const Generation& text : done) {
    EXPECT_EQ(text.reason, StopReason::interrupted);
    EXPECT_GT(text.ids.size(), 1u);
  }
}

TEST_F(BatchOf, WaitsForPromptsOnlyWhenThereIsNothingToDo) {
  // The second prompt comes only after the first text is done.
  bool first_done = false;
  int given = 0;
  BatchGenerator batch(
      decoder_, tokenizer_, 4,
      [&](BatchRequest& to, bool wait) {
        if (given == 2) return Arrival::ended;
        if (given == 1 && !first_done) {
          EXPECT_FALSE(wait);
          return Arrival::not_yet;
        }
        ++given;
        to.prompt = "ab";
        to.options.max_tokens = 4;
        return Arrival::here;
      },
      [&](const BatchRequest&, const Generation&) { first_done = true; }, refuse_none);
  batch.run();
  EXPECT_EQ(batch.counts().texts, 2);
}

TEST_F(BatchOf, MoreThanAStepHoldsIsAnError) {
  const auto source = [](BatchRequest&, bool) { return Arrival::ended; };
  EXPECT_THROW(BatchGenerator(decoder_, tokenizer_, 33, source, {}, {}), Error);
  EXPECT_THROW(BatchGenerator(decoder_, tokenizer_, 0, source, {}, {}), Error);
}

}  // namespace
}  // namespace mythos
