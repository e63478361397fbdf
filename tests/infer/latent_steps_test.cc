#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "../device.h"
#include "alone.h"
#include "fixture.h"

namespace mythos {
namespace {

constexpr int64_t kLatent = 200;

struct Kind {
  Attention attention;
  bool native;
};

Model latent_model(Attention attention, at::Device device) {
  Model model = small_model(attention, device);
  model.config.latent_token = kLatent;
  return model;
}

// The likeliest tokens behind prompt and thoughts, each from a pass over all of the text.
std::vector<uint32_t> whole_passes(const Model& model, const std::vector<uint32_t>& prompt,
                                   int64_t latent_steps, int64_t loops, int64_t tokens) {
  const at::NoGradGuard no_grad;
  const Weights weights = make_weights(model.config, model.parameters, at::kFloat);
  std::vector<int64_t> ids(prompt.begin(), prompt.end());
  ids.insert(ids.end(), static_cast<size_t>(latent_steps), kLatent);
  ForwardOptions options;
  options.loops = loops;
  std::vector<uint32_t> out;
  for (int64_t i = 0; i < tokens; ++i) {
    const Tensor row = at::tensor(ids, at::kLong).unsqueeze(0).to(weights.embed.device());
    const Tensor hidden = forward(model.config, weights, row, options).hidden.select(1, -1);
    Tensor scores = logits(weights, hidden)[0].to(at::kCPU);
    scores[kLatent] = -std::numeric_limits<float>::infinity();
    ids.push_back(scores.argmax().item<int64_t>());
    out.push_back(static_cast<uint32_t>(ids.back()));
  }
  return out;
}

class LatentSteps : public OnDeviceTest<Kind> {
 protected:
  Decoder::Options options(int64_t latent_steps, int64_t chunk = 512) const {
    Decoder::Options options = fp32();
    options.native = value().native;
    options.latent_steps = latent_steps;
    options.prefill_chunk = chunk;
    return options;
  }
  static GenerateOptions greedy(int64_t tokens) {
    GenerateOptions options;
    options.sampling.temperature = 0;
    options.max_tokens = tokens;
    return options;
  }

  const Model model_ = latent_model(value().attention, device_);
  const ByteTokenizer tokenizer_{false, false};
};

INSTANTIATE_TEST_SUITE_P(Kinds, LatentSteps,
                         testing::ValuesIn(on_each_device<Kind>({{Attention::mla, true},
                                                                 {Attention::gqa, true},
                                                                 {Attention::mla, false},
                                                                 {Attention::gqa, false}})),
                         [](const auto& info) {
                           const Kind& kind = info.param.value;
                           return info.param.device +
                                  (kind.attention == Attention::mla ? "_mla" : "_gqa") +
                                  (kind.native ? "_native" : "_tensors");
                         });

TEST_P(LatentSteps, TheTextIsThatOfWholePasses) {
  std::vector<std::vector<uint32_t>> texts;
  for (const int64_t steps : {0, 1, 4}) {
    for (const size_t prompt : {1u, 6u, 21u}) {  // of few rows, and of one tensor
      const std::vector<uint32_t> want = whole_passes(model_, small_prompt(prompt), steps, 3, 12);
      for (const int64_t chunk : {512, 5}) {
        Alone alone(model_, tokenizer_, options(steps, chunk));
        const Generation got = alone.generate(small_prompt(prompt), greedy(12));
        EXPECT_EQ(got.ids, want) << steps << " " << prompt << " " << chunk;
        EXPECT_EQ(got.latent_steps, steps);
        EXPECT_EQ(got.decode_steps, 11);
      }
      texts.push_back(want);
    }
  }
  EXPECT_NE(texts[1], texts[4]);  // the thoughts tell
  EXPECT_NE(texts[4], texts[7]);
}

// Some begin alike, so that prompts are copied, and several think while others already write.
TEST_P(LatentSteps, TextsDoNotDependOnTheirCompany) {
  Decoder decoder(model_, options(3, 4));
  Engine engine(decoder, tokenizer_, 4);
  std::map<size_t, std::vector<uint32_t>> texts;
  const std::vector<size_t> lengths = {9, 9, 2, 14, 9, 5};
  for (size_t i = 0; i < lengths.size(); ++i) {
    Request request;
    request.ids = small_prompt(lengths[i]);
    request.options = greedy(static_cast<int64_t>(3 + 2 * i));
    request.done = [&texts, i](const Generation& generation) { texts[i] = generation.ids; };
    engine.submit(std::move(request));
  }
  while (engine.step()) {
  }
  ASSERT_EQ(texts.size(), lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i) {
    EXPECT_EQ(texts[i],
              whole_passes(model_, small_prompt(lengths[i]), 3, 3, static_cast<int64_t>(3 + 2 * i)))
        << i;
  }
}

TEST_P(LatentSteps, DraftsAreVerifiedBehindThoughts) {
  Alone alone(model_, tokenizer_, options(2));
  GenerateOptions drafted = greedy(10);
  drafted.speculation = {1, 3};
  EXPECT_EQ(alone.generate(small_prompt(6), drafted).ids,
            whole_passes(model_, small_prompt(6), 2, 3, 10));
}

TEST_P(LatentSteps, ThoughtsRunAllLoopsWhateverTheExit) {
  for (const ExitRule rule : {ExitRule::latent, ExitRule::kl}) {
    Decoder::Options exits = options(2);
    exits.exit = rule;
    exits.exit_threshold = 1e9;
    Alone alone(model_, tokenizer_, exits, 3, true);
    // The first token comes from the thoughts alone.
    EXPECT_EQ(alone.generate(small_prompt(6), greedy(1)).ids,
              whole_passes(model_, small_prompt(6), 2, 3, 1));
    const Generation more = alone.generate(small_prompt(6), greedy(5));
    EXPECT_EQ(more.mean_loops(), rule == ExitRule::latent ? 1 : 2);
  }
}

TEST_P(LatentSteps, FillTheContextBesidePromptAndText) {
  Alone alone(model_, tokenizer_, options(8));  // of 48 tokens
  const Generation full = alone.generate(small_prompt(30), greedy(1000));
  EXPECT_EQ(full.reason, StopReason::context);
  EXPECT_EQ(full.ids.size(), 48u - 30 - 8 + 1);
  EXPECT_EQ(alone.generate(small_prompt(40), greedy(5)).ids.size(), 1u);
  try {
    alone.generate(small_prompt(41), greedy(5));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(
        error.message(),
        "the prompt has 41 tokens and 8 latent steps follow it, but the model's context holds "
        "48 (max_seq_len).");
  }
}

TEST_P(LatentSteps, NoPromptHoldsTheLatentTokenAndNoTextDoes) {
  Alone alone(model_, tokenizer_, options(1));
  try {
    alone.generate({97, kLatent, 98}, greedy(5));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "the prompt holds the latent token, id 200 (model.latent_token).");
  }
  // The text of a model whose latent token is what it would draw.
  Model favours = latent_model(value().attention, device_);
  Alone plain(favours, tokenizer_, options(0));
  const uint32_t drawn = plain.generate(small_prompt(6), greedy(1)).ids[0];
  favours.config.latent_token = drawn;
  Alone changed(favours, tokenizer_, options(0));
  EXPECT_NE(changed.generate(small_prompt(6), greedy(1)).ids[0], drawn);
}

}  // namespace
}  // namespace mythos
