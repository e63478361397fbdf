#include "infer/engine/speculate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "../device.h"
#include "base/rng.h"
#include "fixture.h"
#include "infer/engine/generate.h"

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
  Session::Options fp32(int64_t loops) const {
    Session::Options options;
    options.native = value().native;
    options.loops = loops;
    options.compute_type = ComputeType::fp32;
    return options;
  }
  static GenerateOptions options(double temperature, int64_t draft_loops, int64_t draft_tokens) {
    GenerateOptions options;
    options.sampling.temperature = temperature;
    options.speculation = {draft_loops, draft_tokens};
    return options;
  }

  Model model_ = small_model(value().attention, device_);
  Session session_{model_, fp32(5)};
  ByteTokenizer tokenizer_{false, false};
  Generator generator_{session_, tokenizer_};
};

TEST_P(Speculation, GreedyTextIsTheSame) {
  generator_.set_prompt(small_prompt(6));
  bool some_rejected = false, some_accepted = false;
  for (const int64_t max_tokens : {1, 2, 17, 1000}) {
    GenerateOptions plain = options(0, 0, 0);
    plain.max_tokens = max_tokens;
    const Generation want = generator_.generate(plain);
    for (const auto& [loops, tokens] : {std::pair{1, 1}, {1, 5}, {4, 3}, {4, 31}}) {
      GenerateOptions speculative = options(0, loops, tokens);
      speculative.max_tokens = max_tokens;
      const Generation got = generator_.generate(speculative);
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
  generator_.set_prompt(small_prompt(6));
  GenerateOptions plain = options(0, 0, 0);
  const std::string text = generator_.generate(plain).text;
  for (const size_t at : {5u, 6u, 7u, 8u}) {
    plain.stop = {text.substr(at, 3)};
    GenerateOptions speculative = plain;
    speculative.speculation = {4, 4};
    std::string shown;
    const Generation want = generator_.generate(plain);
    const Generation got =
        generator_.generate(speculative, [&](std::string_view part) { shown += part; });
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
  Session session(model_, fp32(3));
  Generator generator(session, tokenizer);
  generator.set_prompt(small_prompt(6));
  for (const auto& [top_p, draft_loops, draft_tokens] :
       {std::tuple{1.0, 1, 3}, std::tuple{0.8, 2, 1}}) {
    GenerateOptions speculative = options(1.5, draft_loops, draft_tokens);
    speculative.sampling.top_p = top_p;
    speculative.max_tokens = kTokens;
    std::map<std::vector<uint32_t>, double> seen, expected;
    for (int i = 0; i < kTexts; ++i) {
      speculative.stream = static_cast<uint64_t>(i);
      ++seen[generator.generate(speculative).ids];
    }
    session.truncate(0);
    const std::function<void(std::vector<uint32_t>, double)> visit =
        [&](const std::vector<uint32_t>& text, double probability) {
          if (text.size() == kTokens) {
            expected[text] = kTexts * probability;
            return;
          }
          std::vector<uint32_t> ids = small_prompt(6);
          ids.insert(ids.end(), text.begin(), text.end());
          session.truncate(0);
          const std::vector<float> logits = session.feed(ids);
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
    generator.set_prompt(small_prompt(6));
  }
}

INSTANTIATE_TEST_SUITE_P(Paths, Speculation, testing::ValuesIn(every_path()), path_name);
INSTANTIATE_TEST_SUITE_P(Paths, SampledSpeculation,
                         testing::Values(OnDevice<Path>{"cpu", kNative[0]},
                                         OnDevice<Path>{"cpu", kNative[1]}),
                         path_name);

TEST(SpeculationOptions, WhatCannotBeVerifiedIsAnError) {
  const Model model = small_model();
  const ByteTokenizer tokenizer(false, false);
  const auto error = [&](const Session::Options& session_options, SpeculationOptions speculation) {
    Session session(model, session_options);
    Generator generator(session, tokenizer);
    generator.set_prompt(small_prompt(3));
    GenerateOptions options;
    options.speculation = speculation;
    try {
      generator.generate(options);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return std::string(error.what());
    }
    return std::string("none");
  };
  Session::Options session;
  session.loops = 4;
  EXPECT_EQ(error(session, {3, 31}), "none");
  EXPECT_EQ(error(session, {4, 3}).find("draft-loops is 4; allowed: fewer than the 4 loops"), 0u);
  EXPECT_EQ(error(session, {2, 32}).find("draft-tokens is 32; allowed: 1 to 31"), 0u);
  session.cache.sharing = CacheSharing::last_loop;
  EXPECT_NE(error(session, {2, 3}).find("--cache-sharing per-loop"), std::string::npos);
  session.cache.sharing = CacheSharing::per_loop;
  session.exit = ExitRule::latent;
  EXPECT_NE(error(session, {2, 3}).find("not auto"), std::string::npos);
}

}  // namespace
}  // namespace mythos
