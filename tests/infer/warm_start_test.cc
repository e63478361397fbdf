#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "../device.h"
#include "alone.h"
#include "fixture.h"

namespace mythos {
namespace {

constexpr int64_t kLoops = 3;

struct Kind {
  FinalNorm final_norm;
  bool native;
};

Model random_start(FinalNorm final_norm, at::Device device = at::kCPU) {
  Model model = small_model(Attention::gqa, device);
  model.config.initial_state = InitialState::random;
  model.config.final_norm = final_norm;
  return model;
}

GenerateOptions greedy(int64_t tokens) {
  GenerateOptions options;
  options.sampling.temperature = 0;
  options.max_tokens = tokens;
  return options;
}

class WarmStart : public OnDeviceTest<Kind> {
 protected:
  Decoder::Options options() const {
    Decoder::Options options = fp32();
    options.native = value().native;
    options.warm_start = true;
    return options;
  }

  const Model model_ = random_start(value().final_norm, device_);
  const ByteTokenizer tokenizer_{false, false};
};

INSTANTIATE_TEST_SUITE_P(Kinds, WarmStart,
                         testing::ValuesIn(on_each_device<Kind>({{FinalNorm::output, true},
                                                                 {FinalNorm::twice, true},
                                                                 {FinalNorm::output, false},
                                                                 {FinalNorm::twice, false}})),
                         [](const auto& info) {
                           const Kind& kind = info.param.value;
                           return info.param.device + "_" +
                                  std::string(enum_name(kind.final_norm)) +
                                  (kind.native ? "_native" : "_tensors");
                         });

// The likeliest tokens behind the prompt: passes of tensors that hand on the last state.
std::vector<uint32_t> by_hand(const Model& model, const std::vector<uint32_t>& prompt,
                              int64_t tokens) {
  const at::NoGradGuard no_grad;
  const Weights weights = make_weights(model.config, model.parameters, at::kFloat);
  const auto device = weights.embed.device();
  const auto cache = make_cache(model.config, kLoops, 1, 48, device, at::kFloat);
  Tensor ids = at::tensor(std::vector<int64_t>(prompt.begin(), prompt.end())).unsqueeze(0);
  Tensor state;
  std::vector<uint32_t> out;
  for (int64_t i = 0; i < tokens; ++i) {
    ForwardOptions options;
    options.loops = kLoops;
    options.cache = cache.get();
    options.initial_state = state;
    options.observer = [&](int64_t, const Tensor&, const Tensor& after) { state = after.clone(); };
    const Tensor hidden =
        forward(model.config, weights, ids.to(device), options).hidden.select(1, -1);
    state = state.narrow(1, state.size(1) - 1, 1);
    if (model.config.final_norm == FinalNorm::twice) {
      const Tensor size = (state.square().mean(-1, true) + model.config.norm_eps).rsqrt();
      state = state * size * weights.norm.to(at::kFloat);
    }
    const auto next = logits(weights, hidden)[0].argmax().item<int64_t>();
    ids = at::full({1, 1}, next, at::kLong);
    out.push_back(static_cast<uint32_t>(next));
  }
  return out;
}

TEST_P(WarmStart, EachTokenStartsFromTheLastStateOfTheOneBefore) {
  for (const size_t prompt : {1u, 6u, 21u}) {  // of few rows, and of one tensor
    const std::vector<uint32_t> want = by_hand(model_, small_prompt(prompt), 12);
    Alone warm(model_, tokenizer_, options(), kLoops);
    EXPECT_EQ(warm.generate(small_prompt(prompt), greedy(12)).ids, want) << prompt;
    Decoder::Options cold = options();
    cold.warm_start = false;
    Alone plain(model_, tokenizer_, cold, kLoops);
    EXPECT_NE(plain.generate(small_prompt(prompt), greedy(12)).ids, want) << prompt;
  }
}

// Prompts that are copied hand on their state as well, and several texts share steps.
TEST_P(WarmStart, TextsDoNotDependOnTheirCompany) {
  Decoder decoder(model_, options());
  Engine engine(decoder, tokenizer_, 3);
  const std::vector<size_t> lengths = {9, 9, 2, 9, 5};
  std::vector<std::vector<uint32_t>> texts(lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i) {
    Request request;
    request.ids = small_prompt(lengths[i]);
    request.options = greedy(static_cast<int64_t>(3 + 2 * i));
    request.loops = kLoops;
    request.done = [&texts, i](const Generation& generation) { texts[i] = generation.ids; };
    engine.submit(std::move(request));
  }
  while (engine.step()) {
  }
  for (size_t i = 0; i < lengths.size(); ++i) {
    EXPECT_EQ(texts[i], by_hand(model_, small_prompt(lengths[i]), static_cast<int64_t>(3 + 2 * i)))
        << i;
  }
}

// An exit that never stops a token hands on the same states; one that does, those of its last loop.
TEST_P(WarmStart, GoesWithExits) {
  const std::vector<uint32_t> want = by_hand(model_, small_prompt(6), 8);
  for (const ExitRule rule : {ExitRule::latent_diff, ExitRule::entropy_diff}) {
    Decoder::Options exits = options();
    exits.exit = rule;
    exits.exit_threshold = 0;
    Alone full(model_, tokenizer_, exits, kLoops, true);
    EXPECT_EQ(full.generate(small_prompt(6), greedy(8)).ids, want) << enum_name(rule);
    exits.exit_threshold = 1e9;
    exits.native = true;
    const Model here = random_start(value().final_norm);
    Alone rows(here, tokenizer_, exits, kLoops, true);
    exits.native = false;
    Alone tensors(model_, tokenizer_, exits, kLoops, true);
    const Generation got = rows.generate(small_prompt(6), greedy(8));
    EXPECT_EQ(got.mean_loops(), 1) << enum_name(rule);
    EXPECT_EQ(tensors.generate(small_prompt(6), greedy(8)).ids, got.ids) << enum_name(rule);
  }
}

TEST_P(WarmStart, DoesNotGoWithDrafts) {
  Alone alone(model_, tokenizer_, options(), kLoops);
  GenerateOptions drafted = greedy(4);
  drafted.speculation = {1, 3};
  try {
    alone.generate(small_prompt(6), drafted);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_TRUE(error.message().starts_with("draft-loops does not go with warm-start"));
  }
}

TEST(WarmStartOptions, NeedAnInjectionAndNoLatentSteps) {
  Model model = small_model();
  model.config.injection = Injection::none;
  Decoder::Options options = fp32();
  options.warm_start = true;
  try {
    const Decoder decoder(model, options);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_TRUE(error.message().starts_with("warm-start: the first state is all")) << error.what();
  }
  options.latent_steps = 1;
  EXPECT_THROW(options.validate(), Error);
}

// Read from the logits that each token is drawn from.
TEST(Confidence, IsTheLikeliestTokensProbabilityAndItsLead) {
  Confidence confidence;
  const float one[] = {std::log(0.2f), std::log(0.5f), std::log(0.3f)};
  const float two[] = {std::log(0.9f), std::log(0.1f)};
  confidence.add(one);
  confidence.add(two);
  EXPECT_EQ(confidence.tokens, 2);
  EXPECT_NEAR(confidence.top, 1.4, 1e-5);
  EXPECT_NEAR(confidence.margin, 0.2 + 0.8, 1e-5);

  const Model model = small_model();
  const ByteTokenizer tokenizer(false, false);
  GenerateOptions options = greedy(5);
  EXPECT_EQ(Alone(model, tokenizer).generate(small_prompt(6), options).confidence.tokens, 0);
  options.confidence = true;
  const Confidence got = Alone(model, tokenizer).generate(small_prompt(6), options).confidence;
  EXPECT_EQ(got.tokens, 5);
  EXPECT_GT(got.top, got.margin);
  EXPECT_LE(got.top, 5);
}

}  // namespace
}  // namespace mythos
