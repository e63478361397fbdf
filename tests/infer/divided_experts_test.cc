#include "model/divided_experts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "../ranks.h"
#include "../scratch.h"
#include "alone.h"
#include "arch/tensors.h"
#include "base/strings.h"
#include "fixture.h"

namespace mythos {
namespace {

ExpertDivision division_of(const Ranks& ranks) {
  return {ranks.size(), ranks.rank()};
}

// The model as load_checkpoint() gives it to a rank.
Model divided(const Model& whole, const Ranks& ranks) {
  Model model = whole;
  const ExpertShare share = expert_share(model.config, division_of(ranks));
  for (const TensorDeclaration& tensor : declared_tensors(model.config)) {
    if (is_of_experts(tensor)) model.parameters.keep_part(tensor.name, share.begin, share.count);
  }
  return model;
}

// Generates with a model whose experts the ranks divide: on rank 0 `work` gets that, and the same
// with the whole model.
void on_divided(Ranks& ranks, const ModelConfig& config, const Decoder::Options& options,
                int64_t loops, bool exits,
                const std::function<void(Alone& many, Alone& one)>& work) {
  at::set_num_threads(1);
  Model whole(config, at::kCPU);
  whole.parameters.initialize(config, 11);
  const Model own = divided(whole, ranks);
  DividedExperts experts(config, expert_share(config, division_of(ranks)), ranks, 60);
  const ByteTokenizer tokenizer(false, /*eos=*/false);
  Decoder::Options with = options;
  with.experts = &experts;
  Alone many(own, tokenizer, with, loops, exits);
  experts.run(many.decoder().weights(), [&] {
    Alone one(whole, tokenizer, options, loops, exits);
    EXPECT_LT(size_bytes(config, many.decoder().weights()),
              size_bytes(config, one.decoder().weights()));
    work(many, one);
  });
}

void expect_equal_texts(Alone& many, Alone& one) {
  for (const double temperature : {0.0, 1.0}) {
    GenerateOptions options;
    options.sampling.temperature = temperature;
    options.sampling.seed = 5;
    options.max_tokens = 24;
    for (const size_t prompt : {1, 9}) {
      const Generation found = many.generate(small_prompt(prompt), options);
      const Generation expected = one.generate(small_prompt(prompt), options);
      EXPECT_EQ(found.ids, expected.ids) << temperature << ", prompt of " << prompt;
      EXPECT_EQ(found.loops_run, expected.loops_run);
    }
  }
}

struct Case {
  std::string name;
  std::function<void(ModelConfig&, Decoder::Options&)> change;
  bool exits = false;
  int ranks = 2;
  friend std::ostream& operator<<(std::ostream& out, const Case& a) { return out << a.name; }
};
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"defaults", [](ModelConfig&, Decoder::Options&) {}},
      {"halting", [](ModelConfig& c, Decoder::Options&) { c.halting = Halting::act; }},
      // With one expert for a token, most mixtures of one token have nothing for the others to do.
      {"one_expert", [](ModelConfig& c, Decoder::Options&) { c.n_experts_per_tok = 1; }, false, 4},
      {"exits",
       [](ModelConfig&, Decoder::Options& o) {
         o.exit = ExitRule::latent;
         o.exit_threshold = 0.3;
       },
       true},
      {"rounded", [](ModelConfig&, Decoder::Options& o) { o.weights = WeightFormat::int8; }},
      {"cut_prompts", [](ModelConfig&, Decoder::Options& o) { o.prefill_chunk = 4; }}};
  return all;
}

class DividedTexts : public testing::TestWithParam<Case> {};

TEST_P(DividedTexts, AreThoseOfOneProcess) {
  on_ranks(GetParam().ranks, [](Ranks& ranks) {
    ModelConfig config = small_config(Attention::mla);
    Decoder::Options options = fp32();
    GetParam().change(config, options);
    on_divided(ranks, config, options, 3, GetParam().exits, expect_equal_texts);
  });
}

INSTANTIATE_TEST_SUITE_P(Ways, DividedTexts, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

// The logits behind a prompt and behind the tokens after it.
std::vector<float> logits_of(Decoder& decoder) {
  const auto vocabulary = static_cast<size_t>(decoder.config().vocab_size);
  const std::vector<uint32_t> ids = small_prompt(20);
  std::vector<float> all(9 * vocabulary);
  const auto cache = decoder.make_cache(4, 32);
  decoder.prefill(*cache, std::span(ids).first(12), all.data());
  for (size_t i = 12; i < 20; ++i) {
    cache->reserve(cache->length() + 1);
    Decoder::Row row{cache.get(), ids[i], 0, all.data() + (i - 11) * vocabulary, 0};
    decoder.step(std::span(&row, 1));
  }
  return all;
}

TEST(DividedExperts, give_the_logits_of_one_process) {
  on_ranks(2, [](Ranks& ranks) {
    for (const bool bf16 : {false, true}) {
      Decoder::Options options = fp32();
      options.native = false;
      if (bf16) options.compute_type = ComputeType::bf16;
      const double tolerance = bf16 ? 0.1 : 1e-5;
      on_divided(ranks, small_config(Attention::gqa), options, 4, false,
                 [&](Alone& many, Alone& one) {
                   const std::vector<float> found = logits_of(many.decoder());
                   const std::vector<float> expected = logits_of(one.decoder());
                   double most = 0, largest = 0;
                   for (size_t i = 0; i < found.size(); ++i) {
                     most = std::max<double>(most, std::abs(found[i] - expected[i]));
                     largest = std::max<double>(largest, std::abs(expected[i]));
                   }
                   EXPECT_LT(most, tolerance * largest) << (bf16 ? "bf16" : "fp32");
                   EXPECT_GT(largest, 0.1);
                 });
    }
  });
}

TEST(DividedExperts, a_rank_holds_its_share_of_their_weights) {
  on_ranks(4, [](Ranks& ranks) {
    const ModelConfig config = small_config(Attention::mla);
    Model whole(config);
    whole.parameters.initialize(config, 1);
    const Decoder all(whole, fp32()), some(divided(whole, ranks), fp32());
    int64_t of_experts = 0;
    for (const TensorDeclaration& tensor : declared_tensors(config)) {
      if (is_of_experts(tensor)) of_experts += 4 * tensor.numel();
    }
    EXPECT_EQ(size_bytes(config, some.weights()),
              size_bytes(config, all.weights()) - of_experts * 3 / 4);
  });
}

// Rank 0 may wait for a prompt for longer than ranks wait for each other.
TEST(DividedExperts, ranks_wait_for_work_beyond_the_timeout) {
  on_ranks(
      2,
      [](Ranks& ranks) {
        const Model model = small_model();
        const Model own = divided(model, ranks);
        const ExpertShare share = expert_share(model.config, division_of(ranks));
        DividedExperts experts(model.config, share, ranks, 1);
        Decoder::Options options = fp32();
        options.experts = &experts;
        Decoder decoder(own, options);
        experts.run(decoder.weights(), [&] {
          std::this_thread::sleep_for(std::chrono::seconds(5));
          EXPECT_TRUE(std::isfinite(logits_of(decoder)[0]));
        });
      },
      /*timeout_seconds=*/3);
}

TEST(DividedExperts, a_lost_rank_is_no_fault_of_a_prompt) {
  on_ranks(2, [](Ranks& ranks) {
    const Model model = small_model();
    const Model own = divided(model, ranks);
    const ExpertShare share = expert_share(model.config, division_of(ranks));
    DividedExperts experts(model.config, share, ranks, 60);
    if (ranks.rank() == 1) return ranks.leave("its machine is needed elsewhere");
    Decoder::Options options = fp32();
    options.experts = &experts;
    Decoder decoder(own, options);
    const ByteTokenizer tokenizer;
    Engine engine(decoder, tokenizer, 2);
    int failed = 0;
    Request request;
    request.ids = small_prompt(4);
    request.failed = [&](const Error&) { ++failed; };
    engine.submit(request);
    const std::string said = error_of(ErrorKind::resources, [&] {
      experts.run(decoder.weights(), [&] {
        while (engine.step()) {
        }
      });
    });
    EXPECT_TRUE(contains(said, "its machine is needed elsewhere")) << said;
    EXPECT_EQ(failed, 0);
  });
}

TEST(DividedExperts, what_cannot_be_divided_is_refused) {
  ModelConfig config = small_config(Attention::mla);
  std::string said = error_of(ErrorKind::usage, [&] { expert_share(config, {3, 0}); });
  EXPECT_TRUE(contains(said, "--expert-ranks 3 does not divide the model's 4 experts")) << said;
  config.ffn = FeedForward::dense;
  said = error_of(ErrorKind::usage, [&] { expert_share(config, {2, 0}); });
  EXPECT_TRUE(contains(said, "the model has no experts to divide")) << said;
}

}  // namespace
}  // namespace mythos
