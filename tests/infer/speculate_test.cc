#include "infer/engine/speculate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "../device.h"
#include "alone.h"
#include "base/rng.h"
#include "fixture.h"

namespace mythos {
namespace {

using Distribution = std::vector<TokenProbability>;

// How many standard deviations a chi-square statistic lies above its mean (Wilson and Hilferty
// 1931). Cells where less than 5 are expected count as one.
template <class Key>
double chi_square_deviation(const std::map<Key, double>& expected,
                            const std::map<Key, double>& seen) {
  double statistic = 0, rest = 0, rest_seen = 0;
  int cells = 0;
  const auto count = [&](double want, double got) {
    statistic += (got - want) * (got - want) / want;
    ++cells;
  };
  for (const auto& [key, want] : expected) {
    const auto at = seen.find(key);
    const double got = at == seen.end() ? 0 : at->second;
    if (want >= 5) {
      count(want, got);
    } else {
      rest += want;
      rest_seen += got;
    }
  }
  if (rest > 0) count(std::max(rest, 1.0), rest_seen);
  const double k = cells - 1, width = 2 / (9 * k);
  return (std::cbrt(statistic / k) - (1 - width)) / std::sqrt(width);
}

TEST(Verified, ItsTokensAreDistributedAsAtFullDepth) {
  const Distribution full = {{0, 0.1}, {1, 0.5}, {3, 0.15}, {4, 0.25}};
  const Distribution drafts[] = {
      {{0, 0.4}, {1, 0.3}, {2, 0.2}, {4, 0.1}}, {{2, 1}}, {{1, 1}}, full};
  constexpr int kDraws = 20000;
  for (const Distribution& draft : drafts) {
    std::map<uint32_t, double> seen, expected;
    Rng rng(3);
    for (int i = 0; i < kDraws; ++i) {
      const uint32_t drafted = pick(draft, rng.uniform());
      const double accept = rng.uniform();
      ++seen[verified(drafted, draft, full, accept, rng.uniform())];
    }
    for (const TokenProbability& token : full) expected[token.id] = kDraws * token.probability;
    EXPECT_EQ(seen.count(2), 0u);
    EXPECT_LT(chi_square_deviation(expected, seen), 4);
  }
}

TEST(Verified, EqualDepthsAcceptEverything) {
  const Distribution full = {{0, 0.1}, {1, 0.5}, {3, 0.4}};
  for (const uint32_t id : {0u, 1u, 3u}) EXPECT_EQ(verified(id, full, full, 0.9999999, 0.5), id);
}

// So few tokens that all texts of some length can be counted. None is EOS.
class FewTokens : public ByteTokenizer {
 public:
  explicit FewTokens(int64_t size) : ByteTokenizer(false, false), size_(size) {}
  int64_t vocab_size() const override { return size_; }

 private:
  int64_t size_;
};

// The native path, or the model's forward(), which devices have alone.
struct Path {
  Attention attention;
  bool native;
};
constexpr Path kNative[] = {{Attention::gqa, true}, {Attention::mla, true}};

std::vector<OnDevice<Path>> every_path() {
  auto paths = on_each_device<Path>({{Attention::gqa, false}, {Attention::mla, false}});
  for (const Path& path : kNative) paths.push_back({"cpu", path});
  return paths;
}
std::string path_name(const testing::TestParamInfo<OnDevice<Path>>& info) {
  const Path& path = info.param.value;
  return info.param.device + "_" + std::string(enum_name(path.attention)) +
         (path.native ? "" : "_plain");
}

class Speculation : public OnDeviceTest<Path> {
 protected:
  Decoder::Options decoder_options() const {
    Decoder::Options options = fp32();
    options.native = value().native;
    return options;
  }
  static GenerateOptions options(double temperature, int64_t draft_loops, int64_t draft_tokens) {
    GenerateOptions options;
    options.sampling.temperature = temperature;
    options.speculation = {draft_loops, draft_tokens};
    return options;
  }

  Model model_ = small_model(value().attention, device_);
  ByteTokenizer tokenizer_{false, false};
  Alone alone_{model_, tokenizer_, decoder_options(), 5};
};

TEST_P(Speculation, GreedyTextIsTheSame) {
  bool some_rejected = false, some_accepted = false;
  for (const int64_t max_tokens : {1, 2, 17, 1000}) {
    GenerateOptions plain = options(0, 0, 0);
    plain.max_tokens = max_tokens;
    const Generation want = alone_.generate(small_prompt(6), plain);
    for (const auto& [loops, tokens] : {std::pair{1, 1}, {1, 5}, {4, 3}, {4, 31}}) {
      GenerateOptions speculative = options(0, loops, tokens);
      speculative.max_tokens = max_tokens;
      const Generation got = alone_.generate(small_prompt(6), speculative);
      EXPECT_EQ(got.ids, want.ids) << loops << " loops, " << tokens << " tokens";
      EXPECT_EQ(got.reason, want.reason);
      EXPECT_EQ(got.decode_steps, want.decode_steps);
      const SpeculationCounts& counts = got.speculation;
      some_rejected |= counts.accepted < counts.drafted;
      some_accepted |= counts.accepted > 0;
      // What is drawn behind the first token is accepted or drawn by a verification.
      EXPECT_EQ(counts.accepted + counts.verifications, got.decode_steps);
    }
  }
  EXPECT_TRUE(some_rejected);
  EXPECT_TRUE(some_accepted);
}

TEST_P(Speculation, StopStringsEndTheTextInTheMiddleOfADraft) {
  GenerateOptions plain = options(0, 0, 0);
  const std::string text = alone_.generate(small_prompt(6), plain).text;
  for (const size_t at : {5u, 6u, 7u, 8u}) {
    plain.stop = {text.substr(at, 3)};
    GenerateOptions speculative = plain;
    speculative.speculation = {4, 4};
    std::string shown;
    const Generation want = alone_.generate(small_prompt(6), plain);
    const Generation got = alone_.generate(small_prompt(6), speculative,
                                           [&](std::string_view part) { shown += part; });
    EXPECT_EQ(got.ids, want.ids);
    EXPECT_EQ(got.reason, StopReason::stop);
    EXPECT_EQ(shown, want.text);
  }
}

// All texts of four tokens, with filters at work: their exact probabilities at full depth, and how
// often speculation gives them. So many that it takes the native path.
class SampledSpeculation : public Speculation {};

TEST_P(SampledSpeculation, TextsAreDistributedAsWithoutIt) {
  constexpr int64_t kTokens = 4;
  constexpr int kTexts = 4000;
  const FewTokens tokenizer(5);
  Decoder decoder(model_, decoder_options());
  Engine engine(decoder, tokenizer, 1);
  const auto cache = decoder.make_cache(3, 16);
  for (const auto& [top_p, draft_loops, draft_tokens] :
       {std::tuple{1.0, 1, 3}, std::tuple{0.8, 2, 1}}) {
    GenerateOptions speculative = options(1.5, draft_loops, draft_tokens);
    speculative.sampling.top_p = top_p;
    speculative.max_tokens = kTokens;
    std::map<std::vector<uint32_t>, double> seen, expected;
    for (int i = 0; i < kTexts; ++i) {
      speculative.stream = static_cast<uint64_t>(i);
      ++seen[engine.complete({small_prompt(6), speculative, 3, false, {}, {}, {}, {}}).ids];
    }
    const std::function<void(std::vector<uint32_t>, double)> visit =
        [&](const std::vector<uint32_t>& text, double probability) {
          if (text.size() == kTokens) {
            expected[text] = kTexts * probability;
            return;
          }
          std::vector<uint32_t> ids = small_prompt(6);
          ids.insert(ids.end(), text.begin(), text.end());
          cache->truncate(0);
          std::vector<float> logits(258);
          decoder.prefill(*cache, ids, logits.data());
          for (const TokenProbability& token :
               next_token_distribution(std::span(logits).first(5), speculative.sampling)) {
            std::vector<uint32_t> longer = text;
            longer.push_back(token.id);
            visit(longer, probability * token.probability);
          }
        };
    visit({}, 1);
    for (const auto& [text, count] : seen) EXPECT_TRUE(expected.contains(text)) << count;
    EXPECT_LT(chi_square_deviation(expected, seen), 4);
  }
}

INSTANTIATE_TEST_SUITE_P(Paths, Speculation, testing::ValuesIn(every_path()), path_name);
INSTANTIATE_TEST_SUITE_P(Paths, SampledSpeculation,
                         testing::Values(OnDevice<Path>{"cpu", kNative[0]},
                                         OnDevice<Path>{"cpu", kNative[1]}),
                         path_name);

// The shapes of published models: what a token starts from, where norms stand, and a gate of exits.
std::vector<std::pair<std::string, ModelConfig>> published_shapes() {
  std::vector<std::pair<std::string, ModelConfig>> out;
  const auto add = [&](const std::string& name) -> ModelConfig& {
    ModelConfig c = small_config(Attention::gqa);
    c.ffn = FeedForward::dense;
    c.loop_embedding = LoopEmbedding::none;
    c.lora_rank = 0;
    c.prelude_norm = false;
    out.emplace_back(name, c);
    return out.back().second;
  };
  ModelConfig& ouro = add("ouro");
  ouro.prelude_layers = ouro.coda_layers = 0;
  ouro.core_layers = 2;
  ouro.injection = Injection::none;
  ouro.final_norm = FinalNorm::loop;
  ouro.norm_placement = NormPlacement::sandwich;
  ouro.rope_pairing = RopePairing::halves;
  ouro.halting = Halting::gate;
  ModelConfig& huginn = add("huginn");
  huginn.injection = Injection::linear;
  huginn.injection_norm = false;
  huginn.initial_state = InitialState::random;
  huginn.final_norm = FinalNorm::twice;
  huginn.norm_placement = NormPlacement::residual;
  huginn.attention_bias = AttentionBias::qk;
  ModelConfig& parcae = add("parcae");
  parcae.injection = Injection::zoh;
  parcae.zoh_gain = ZohGain::euler;
  parcae.readout = true;
  parcae.initial_state = InitialState::random;
  parcae.activation = Activation::relu2;
  parcae.logit_softcap = 15;
  ModelConfig& zero = add("zero");
  zero.injection = Injection::linear;
  zero.initial_state = InitialState::zero;
  return out;
}

TEST(SpeculationOfPublishedShapes, GivesTheTextOfFullDepth) {
  const ByteTokenizer tokenizer(false, false);
  at::set_num_threads(1);  // tensors this small are not worth sharing
  for (const auto& [name, config] : published_shapes()) {
    Model model(config);
    model.parameters.initialize(config, 11);
    for (const Parameters::Item& item : model.parameters.items()) {
      // States that go on changing from loop to loop.
      if (item.name.find("injection") == std::string::npos || item.shape.size() < 2) continue;
      at::manual_seed(4);
      Tensor(item.tensor).detach().normal_(0, 0.15);
    }
    int64_t accepted = 0, drafted = 0;
    for (const bool native : {true, false}) {
      Decoder::Options options;
      options.compute_type = ComputeType::fp32;
      options.native = native;
      Alone alone(model, tokenizer, options, 4);
      GenerateOptions plain;
      plain.sampling.temperature = 0;
      plain.max_tokens = 16;
      const Generation want = alone.generate(small_prompt(6), plain);
      for (const auto& [loops, tokens] : {std::pair{1, 3}, {3, 5}}) {
        GenerateOptions speculative = plain;
        speculative.speculation = {loops, tokens};
        const Generation got = alone.generate(small_prompt(6), speculative);
        EXPECT_EQ(got.ids, want.ids) << name << " at " << loops << " loops";
        accepted += got.speculation.accepted;
        drafted += got.speculation.drafted;
      }
    }
    EXPECT_GT(accepted, 0) << name;
    EXPECT_LT(accepted, drafted) << name;
  }
}

TEST(SpeculationOptions, WhatCannotBeVerifiedIsAnError) {
  const Model model = small_model();
  const ByteTokenizer tokenizer(false, false);
  Decoder::Options options;
  const auto error = [&](SpeculationOptions speculation, bool exits = false) {
    GenerateOptions generate;
    generate.speculation = speculation;
    try {
      Alone(model, tokenizer, options, 4, exits).generate(small_prompt(3), generate);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return std::string(error.what());
    }
    return std::string("none");
  };
  EXPECT_EQ(error({3, 31}), "none");
  EXPECT_EQ(error({4, 3}).find("draft-loops is 4; allowed: fewer than the 4 loops"), 0u);
  EXPECT_EQ(error({2, 32}).find("draft-tokens is 32; allowed: 1 to 31"), 0u);
  options.cache.sharing = CacheSharing::last_loop;
  EXPECT_NE(error({2, 3}).find("--cache-sharing per-loop"), std::string::npos);
  options.cache.sharing = CacheSharing::per_loop;
  options.exit = ExitRule::latent;
  EXPECT_NE(error({2, 3}, true).find("not auto"), std::string::npos);
}

}  // namespace
}  // namespace mythos
