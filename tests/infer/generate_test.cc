
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "../device.h"
#include "alone.h"
#include "fixture.h"
#include "infer/terminal/generation_report.h"

namespace mythos {
namespace {

GenerateOptions greedy(int64_t max_tokens) {
  GenerateOptions options;
  options.sampling.temperature = 0;
  options.max_tokens = max_tokens;
  return options;
}

GenerateOptions sampled(uint64_t seed, int64_t max_tokens = 24) {
  GenerateOptions options;
  options.sampling.temperature = 1;
  options.sampling.seed = seed;
  options.max_tokens = max_tokens;
  return options;
}

// The most likely next token again and again, from a full pass without a cache each time.
std::vector<uint32_t> argmax_continuation(const Model& model, std::vector<uint32_t> ids,
                                          int64_t loops, size_t tokens) {
  const at::NoGradGuard no_grad;
  const Weights weights = make_weights(model.config, model.parameters, at::kFloat);
  const size_t prompt = ids.size();
  while (ids.size() < prompt + tokens) {
    const Tensor input = at::tensor(std::vector<int64_t>(ids.begin(), ids.end()))
                             .unsqueeze(0)
                             .to(weights.embed.device());
    ForwardOptions options;
    options.loops = loops;
    const Tensor hidden = forward(model.config, weights, input, options).hidden;
    ids.push_back(static_cast<uint32_t>(
        logits(weights, hidden[0][hidden.size(1) - 1]).argmax().item<int64_t>()));
  }
  return {ids.begin() + static_cast<ptrdiff_t>(prompt), ids.end()};
}

class GenerateWith : public OnDeviceTest<Attention> {};

TEST_P(GenerateWith, GreedyEqualsArgmaxOfTheFullForward) {
  const Model model = small_model(value(), device_);
  const ByteTokenizer tokenizer(false, /*eos=*/false);
  for (const int64_t loops : {1, 3, 6}) {
    const Generation got =
        Alone(model, tokenizer, fp32(), loops).generate(small_prompt(7), greedy(12));
    EXPECT_EQ(got.ids, argmax_continuation(model, small_prompt(7), loops, 12)) << loops << " loops";
    EXPECT_EQ(got.reason, StopReason::max_tokens);
    EXPECT_EQ(got.prompt_tokens, 7);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Attention, GenerateWith,
    testing::ValuesIn(on_each_device(std::vector{Attention::gqa, Attention::mla})),
    [](const auto& info) {
      return info.param.device + "_" + std::string(enum_name(info.param.value));
    });

class Generate : public testing::Test {
 protected:
  Generation run(const GenerateOptions& options, std::function<void(std::string_view)> text = {},
                 StopToken stop = {}) {
    return alone_.generate(small_prompt(6), options, std::move(text), stop);
  }

  Model model_ = small_model();
  ByteTokenizer tokenizer_{false, false};
  Alone alone_{model_, tokenizer_};
};

TEST_F(Generate, TheSameSeedGivesTheSameTextAndAnotherSeedAnother) {
  const Generation first = run(sampled(5));
  EXPECT_EQ(first.ids.size(), 24u);
  EXPECT_EQ(run(sampled(5)).ids, first.ids);
  EXPECT_NE(run(sampled(6)).ids, first.ids);
  GenerateOptions other_sample = sampled(5);
  other_sample.stream = 1;
  EXPECT_NE(run(other_sample).ids, first.ids);
}

// The prompt is computed for the first of them alone.
TEST_F(Generate, SamplesOfOnePromptDoNotDisturbEachOther) {
  Engine engine(alone_.decoder(), tokenizer_, 1);
  const auto sample = [&](const GenerateOptions& options) {
    return engine.complete({small_prompt(6), options, 0, false, {}, {}, {}, {}});
  };
  const Generation first = sample(sampled(5));
  sample(sampled(6, 30));
  const Generation again = sample(sampled(5));
  EXPECT_EQ(again.ids, first.ids);
  EXPECT_EQ(first.computed_prompt_tokens, 6);
  EXPECT_EQ(again.computed_prompt_tokens, 0);
  EXPECT_NE(describe(again, alone_.decoder()).find("prompt 6 tokens (copied)"), std::string::npos);
  EXPECT_EQ(engine.counts().prompt_tokens, 18);
  EXPECT_EQ(engine.counts().computed_prompt_tokens, 6);
}

TEST_F(Generate, StreamsTheTextThatItReturns) {
  std::string streamed;
  const Generation got = run(sampled(5), [&](std::string_view text) { streamed += text; });
  EXPECT_EQ(streamed, got.text);
  EXPECT_EQ(got.text, tokenizer_.decode(got.ids));
}

TEST_F(Generate, StopsBeforeAStopStringThatSpansTokens) {
  const std::string text = run(greedy(16)).text;
  GenerateOptions options = greedy(16);
  // Three bytes are three tokens here. What the same bytes may say earlier decides the cut.
  options.stop = {text.substr(6, 3)};
  const Generation got = run(options);
  EXPECT_EQ(got.reason, StopReason::stop);
  EXPECT_EQ(got.stop, options.stop[0]);
  EXPECT_EQ(got.text, text.substr(0, text.find(options.stop[0])));
  EXPECT_EQ(got.ids.size(), got.text.size() + 3);
}

TEST_F(Generate, AnUnfinishedStopStringIsShownAtTheEnd) {
  const std::string text = run(greedy(8)).text;
  GenerateOptions options = greedy(8);
  options.stop = {text.substr(6) + "\x01never"};
  const Generation got = run(options);
  EXPECT_EQ(got.reason, StopReason::max_tokens);
  EXPECT_EQ(got.text, text);
}

TEST_F(Generate, StopsAtEosAndDoesNotShowIt) {
  const std::vector<uint32_t> ids = run(greedy(8)).ids;
  // A tokenizer in which the fourth token of that text is EOS.
  class EosIs : public ByteTokenizer {
   public:
    explicit EosIs(uint32_t id) { set_boundaries(std::nullopt, id); }
  } tokenizer(ids[3]);
  const Generation got = Alone(model_, tokenizer).generate(small_prompt(6), greedy(8));
  const auto end = std::find(ids.begin(), ids.end(), ids[3]);
  EXPECT_EQ(got.reason, StopReason::eos);
  EXPECT_EQ(got.ids, std::vector<uint32_t>(ids.begin(), end));
}

TEST_F(Generate, StopsAtOtherTokensThatEndTexts) {
  const Generation all = run(greedy(8));
  GenerateOptions options = greedy(8);
  options.stop_ids = {7, all.ids[3]};
  const Generation got = run(options);
  const auto end = std::find(all.ids.begin(), all.ids.end(), all.ids[3]);
  EXPECT_EQ(got.ids, std::vector<uint32_t>(all.ids.begin(), end));
  EXPECT_EQ(got.reason, StopReason::eos);
}

TEST_F(Generate, StopsWhereTheContextEnds) {
  const Generation got = run(greedy(1000));
  EXPECT_EQ(got.reason, StopReason::context);
  // 48 tokens of context, 6 of them the prompt; the last token drawn need not be fed again.
  EXPECT_EQ(got.ids.size(), 43u);
  EXPECT_NE(describe(got, alone_.decoder()).find("the context of 48 tokens is full"),
            std::string::npos);
}

TEST_F(Generate, APromptThatFillsTheContextGetsOneToken) {
  const Generation got = alone_.generate(small_prompt(48), greedy(5));
  EXPECT_EQ(got.ids.size(), 1u);
  EXPECT_EQ(got.reason, StopReason::context);
}

TEST_F(Generate, AStopKeepsWhatThereIs) {
  StopSource source;
  std::string text;
  const auto take = [&](std::string_view part) {
    text += part;
    if (text.size() >= 4) source.request_stop();
  };
  const Generation got = run(greedy(20), take, source.token());
  EXPECT_EQ(got.reason, StopReason::interrupted);
  EXPECT_EQ(got.ids.size(), 4u);
  EXPECT_EQ(got.decode_steps, 3);
}

TEST_F(Generate, NeverDrawsIdsThatTheTokenizerLacks) {
  ModelConfig config = small_config(Attention::gqa);
  config.vocab_size = 2048;
  Model model(config);
  model.parameters.initialize(config, 3);
  Alone alone(model, tokenizer_);
  for (const uint32_t id : alone.generate(small_prompt(4), sampled(1, 40)).ids) EXPECT_LT(id, 258u);
}

TEST_F(Generate, ATokenizerLargerThanTheModelIsAnError) {
  ModelConfig config = small_config(Attention::gqa);
  config.vocab_size = 100;
  Model model(config);
  model.parameters.initialize(config, 3);
  Decoder decoder(model, fp32());
  EXPECT_THROW(Engine(decoder, tokenizer_, 1), Error);
}

TEST_F(Generate, MaxTokensBelowOneIsAnError) {
  EXPECT_THROW(run(greedy(0)), Error);
}

TEST_F(Generate, JsonHoldsTheResult) {
  GenerateOptions options = greedy(4);
  const Generation got = run(options);
  const nlohmann::json json = to_json(got, alone_.decoder(), options, "abc");
  EXPECT_EQ(json["schema"], "mythos.generate/1");
  EXPECT_EQ(json["prompt"], "abc");
  EXPECT_EQ(json["ids"], got.ids);
  EXPECT_EQ(json["stop_reason"], "max_tokens");
  EXPECT_EQ(json["loops"], 3);
  EXPECT_EQ(json["timings"]["prompt_tokens"], 6);
  EXPECT_EQ(json["timings"]["generated_tokens"], 4);
}

TEST(PromptIds, AnEmptyPromptStartsFromBosOrElseFromEos) {
  using Ids = std::vector<uint32_t>;
  EXPECT_EQ(prompt_ids(ByteTokenizer(true, true), ""), Ids{ByteTokenizer::kBos});
  EXPECT_EQ(prompt_ids(ByteTokenizer(false, true), ""), Ids{ByteTokenizer::kEos});
  EXPECT_THROW(prompt_ids(ByteTokenizer(false, false), ""), Error);
  EXPECT_EQ(prompt_ids(ByteTokenizer(true, true), "ab"), (Ids{97, 98}));
}

// A prompt begins as the documents of the training did.
TEST(PromptIds, BeginAsDocumentsDid) {
  using Ids = std::vector<uint32_t>;
  constexpr uint32_t kBos = ByteTokenizer::kBos, kEos = ByteTokenizer::kEos;
  const ByteTokenizer tokenizer(true, true);
  const DocumentEnds bos_alone{Share::all, Share::none}, some_bos{Share::some, Share::all},
      eos_alone{Share::none, Share::all}, neither;
  for (const DocumentEnds& with_bos : {bos_alone, some_bos}) {
    EXPECT_EQ(prompt_ids(tokenizer, "ab", with_bos), (Ids{kBos, 97, 98}));
    EXPECT_EQ(prompt_ids(tokenizer, "", with_bos), Ids{kBos});
  }
  EXPECT_EQ(prompt_ids(tokenizer, "ab", eos_alone), (Ids{97, 98}));
  EXPECT_EQ(prompt_ids(tokenizer, "", eos_alone), Ids{kEos});
  EXPECT_EQ(prompt_ids(tokenizer, "ab", neither), (Ids{97, 98}));
  try {
    prompt_ids(tokenizer, "", neither);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_TRUE(error.message().starts_with("the prompt is empty, and documents began"))
        << error.what();
  }
}

// BOS ends a text where documents began with it: another one begins.
TEST(Continuation, EndsWhereTheNextDocumentBegins) {
  const ByteTokenizer tokenizer(true, true);
  GenerateOptions options;
  const auto goes_on = [&](uint32_t id) { return Continuation(tokenizer, options, 1, 9).push(id); };
  EXPECT_TRUE(goes_on(ByteTokenizer::kBos));
  EXPECT_FALSE(goes_on(ByteTokenizer::kEos));
  options.documents = DocumentEnds{Share::none, Share::all};
  EXPECT_TRUE(goes_on(ByteTokenizer::kBos));
  options.documents = DocumentEnds{Share::all, Share::none};
  EXPECT_FALSE(goes_on(ByteTokenizer::kBos));
}

}  // namespace
}  // namespace mythos
