#include "eval/decode_likelihood.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>

#include "../model/sample_model.h"
#include "../scratch.h"
#include "../small_data.h"
#include "arch/plan.h"

namespace mythos {
namespace {

// With shards that are made once.
class DecodeLikelihood : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    at::set_num_threads(1);
    scratch_ = std::make_unique<Scratch>();
    write_small_shards(*scratch_ / "shards", 12);
    data_ = std::make_unique<ShardDirectory>(*scratch_ / "shards");
    byte_lengths_ = load_carried_tokenizer(*scratch_ / "shards")->byte_lengths();
  }
  static void TearDownTestSuite() {
    data_.reset();
    scratch_.reset();
  }
  static Model make_model(ModelConfig config) {
    config.vocab_size = 300;
    config.init_std = 0.2;  // wide, so that every part tells
    return sample_model(config);
  }
  Likelihood plain(const Model& model) const {
    const at::NoGradGuard no_grad;
    const Weights weights = make_weights(model.config, model.parameters, at::kFloat);
    return evaluate(model.config, weights, *data_, byte_lengths_, options_);
  }
  Likelihood decoded(const Model& model, const Decoder::Options& options = {}) const {
    Decoder decoder(model, options);
    return evaluate_decode(decoder, *data_, byte_lengths_, options_);
  }

  double nats(const Decoder::Options& options) const { return decoded(model_, options).nats; }

  const Model model_ = make_model(small_config());
  static std::unique_ptr<Scratch> scratch_;
  static std::unique_ptr<ShardDirectory> data_;
  static std::vector<int32_t> byte_lengths_;
  LikelihoodOptions options_ = [] {
    LikelihoodOptions options;
    options.loops = 3;
    options.seq_len = 16;
    options.max_tokens = 100;
    return options;
  }();
};
std::unique_ptr<Scratch> DecodeLikelihood::scratch_;
std::unique_ptr<ShardDirectory> DecodeLikelihood::data_;
std::vector<int32_t> DecodeLikelihood::byte_lengths_;

class DecodeLikelihoodOf : public DecodeLikelihood,
                           public testing::WithParamInterface<NamedConfig> {};

TEST_P(DecodeLikelihoodOf, EqualsWholeWindows) {
  const Model model = make_model(GetParam().config);
  for (const int64_t batch_size : {0, 3}) {
    options_.batch_size = batch_size;
    const Likelihood found = decoded(model), want = plain(model);
    EXPECT_EQ(found.loops, 3);
    EXPECT_EQ(found.tokens, 100);
    EXPECT_EQ(found.bytes, want.bytes);
    EXPECT_NEAR(found.nats, want.nats, 1e-5 * want.nats);
    EXPECT_EQ(found.loops_run, want.loops_run);
    EXPECT_NEAR(found.flops_saved, want.flops_saved, 1e-9);
  }
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, DecodeLikelihoodOf, testing::ValuesIn(all_mechanisms()),
                         [](const auto& info) { return info.param.name; });

TEST_F(DecodeLikelihood, ReadsTheWholeSplitAndShortWindows) {
  options_.max_tokens = 0;
  const Likelihood found = decoded(model_), want = plain(model_);
  EXPECT_EQ(found.tokens, want.tokens);
  EXPECT_EQ(found.bytes, want.bytes);
  EXPECT_NEAR(found.nats, want.nats, 1e-5 * want.nats);
}

TEST_F(DecodeLikelihood, EqualsWindowsThatOverlap) {
  for (const int64_t stride : {5, 16}) {
    options_.stride = stride;
    for (const int64_t batch_size : {0, 3}) {
      options_.batch_size = batch_size;
      const Likelihood found = decoded(model_), want = plain(model_);
      EXPECT_EQ(found.tokens, 100);
      EXPECT_EQ(found.bytes, want.bytes);
      EXPECT_NEAR(found.nats, want.nats, 1e-5 * want.nats);
    }
  }
  Decoder::Options exits;
  exits.exit = ExitRule::latent;
  exits.exit_threshold = 1e30;
  EXPECT_EQ(decoded(model_, exits).loops_run, (std::vector<int64_t>{100, 0, 0}));
}

TEST_F(DecodeLikelihood, EqualsWindowsOfDocumentsApart) {
  options_.max_tokens = 0;
  const Likelihood stream = plain(model_);
  options_.masks_documents = true;
  for (const Packing packing : {Packing::best_fit, Packing::contiguous}) {
    options_.packing = packing;
    for (const int64_t stride : {0, 5}) {
      options_.stride = stride;
      const Likelihood found = decoded(model_), want = plain(model_);
      EXPECT_EQ(found.tokens, want.tokens);
      EXPECT_NEAR(found.nats, want.nats, 1e-5 * want.nats);
      EXPECT_GT(std::abs(want.loss() - stream.loss()), 1e-4);
    }
  }
}

// The most frequent token of the text is a latent thought, at the beginning of windows too; nothing
// predicts one.
TEST_F(DecodeLikelihood, EqualsWindowsWithLatentThoughts) {
  const Likelihood all = plain(model_);
  Model thinks = make_model(small_config());
  std::vector<uint32_t> ids(100);
  data_->read(options_.split, 0, ids);
  thinks.config.latent_token = *std::max_element(ids.begin(), ids.end(), [&](auto a, auto b) {
    return std::count(ids.begin(), ids.end(), a) < std::count(ids.begin(), ids.end(), b);
  });
  for (const int64_t stride : {0, 5}) {
    for (const Packing packing : {Packing::contiguous, Packing::best_fit}) {
      options_.stride = stride;
      options_.packing = packing;
      options_.masks_documents = packing == Packing::best_fit;
      const Likelihood found = decoded(thinks), want = plain(thinks);
      EXPECT_LT(want.tokens, all.tokens);
      EXPECT_GT(want.tokens, all.tokens / 2);
      EXPECT_EQ(found.tokens, want.tokens);
      EXPECT_NEAR(found.nats, want.nats, 1e-5 * want.nats);
    }
  }
  Decoder::Options exits;
  exits.exit = ExitRule::kl;
  EXPECT_THROW(decoded(thinks, exits), Error);
}

// Fewer bits cost more, by little.
TEST_F(DecodeLikelihood, RoundedWeightsAreNear) {
  const double exact = nats({});
  Decoder::Options options;
  options.weights = WeightFormat::int8;
  const double int8 = nats(options);
  options.weights = WeightFormat::int4;
  const double int4 = nats(options);
  EXPECT_NE(int8, exact);
  EXPECT_NEAR(int8, exact, 0.01 * exact);
  EXPECT_NEAR(int4, exact, 0.1 * exact);
  EXPECT_GT(std::fabs(int4 - exact), 2 * std::fabs(int8 - exact));
}

TEST_F(DecodeLikelihood, ARoundedCacheIsNearAndSmaller) {
  const Likelihood exact = decoded(model_);
  const SlotBytes slot = slot_bytes(model_.config);
  const int64_t slots = cache_slots(model_.config, 3);
  EXPECT_EQ(exact.cache_bytes_per_token, 2 * slots * slot.bf16);
  Decoder::Options options;
  options.cache.type = CacheType::bf16;
  const Likelihood bf16 = decoded(model_, options);
  EXPECT_EQ(bf16.cache_bytes_per_token, slots * slot.bf16);
  options.cache.type = CacheType::int8;
  const Likelihood int8 = decoded(model_, options);
  EXPECT_EQ(int8.cache_bytes_per_token, slots * slot.int8);
  for (const Likelihood& rounded : {bf16, int8}) {
    EXPECT_NE(rounded.nats, exact.nats);
    EXPECT_NEAR(rounded.nats, exact.nats, 0.01 * exact.nats);
  }
}

TEST_F(DecodeLikelihood, SharingLoopsIsAnotherModel) {
  Decoder::Options last, average;
  last.cache.sharing = CacheSharing::last_loop;
  average.cache.sharing = CacheSharing::average;
  const double own = nats({});
  EXPECT_GT(std::fabs(nats(last) - own), 1e-4 * own);
  EXPECT_GT(std::fabs(nats(average) - own), 1e-4 * own);
  EXPECT_GT(std::fabs(nats(average) - nats(last)), 1e-4 * own);
  EXPECT_EQ(decoded(model_, last).cache_bytes_per_token,
            2 * cache_slots(model_.config, 1) * slot_bytes(model_.config).bf16);
  // One loop has nothing to share.
  options_.loops = 1;
  EXPECT_NEAR(nats(last), nats({}), 1e-6 * own);
}

// A threshold that all changes are below stops every token as soon as it can, one that none is
// below never.
TEST_F(DecodeLikelihood, ExitsBetweenNeverAndAtOnce) {
  const Likelihood whole = decoded(model_);
  EXPECT_TRUE(whole.loops_run.empty());
  for (const auto& [exit, first] : {std::pair(ExitRule::latent, 1), {ExitRule::kl, 2}}) {
    Decoder::Options options;
    options.exit = exit;
    options.exit_threshold = 1e30;
    const Likelihood at_once = decoded(model_, options);
    EXPECT_EQ(at_once.loops_run,
              (std::vector<int64_t>{first == 1 ? 100 : 0, first == 2 ? 100 : 0, 0}));
    options_.loops = first;
    EXPECT_NEAR(at_once.nats, decoded(model_).nats, 1e-5 * whole.nats);
    options_.loops = 3;
    options.exit_threshold = 0;
    const Likelihood never = decoded(model_, options);
    EXPECT_EQ(never.loops_run, (std::vector<int64_t>{0, 0, 100}));
    EXPECT_NEAR(never.nats, whole.nats, 1e-5 * whole.nats);
    EXPECT_DOUBLE_EQ(never.mean_loops(), 3);
  }
}

// Some tokens stop, others do not.
TEST_F(DecodeLikelihood, AThresholdBetweenPartsTheTokens) {
  Decoder::Options options;
  options.exit = ExitRule::kl;
  int64_t last = 0;
  for (const double threshold : {0.01, 0.03, 0.1}) {
    options.exit_threshold = threshold;
    const std::vector<int64_t> run = decoded(model_, options).loops_run;
    EXPECT_EQ(std::accumulate(run.begin(), run.end(), int64_t{0}), 100);
    EXPECT_EQ(run[0], 0);
    EXPECT_GT(run[1], last) << threshold;
    last = run[1];
  }
}

// The saved share is counted in the plan's multiply-accumulates. The exit by KL looks at the
// distribution after every loop, which costs coda and head each time.
TEST_F(DecodeLikelihood, SavedFlopsAreThoseOfThePlan) {
  const auto macs = [&](const ModelConfig& config, int64_t loops) {
    const Plan plan = make_plan(config, loops, options_.seq_len);
    return static_cast<double>(plan.matrix_macs_per_token + plan.attention_macs_per_token);
  };
  const ModelConfig& config = model_.config;
  Decoder::Options options;
  options.exit = ExitRule::latent;
  options.exit_threshold = 1e30;
  EXPECT_NEAR(decoded(model_, options).flops_saved, 1 - macs(config, 1) / macs(config, 3), 1e-9);
  options.exit_threshold = 0;
  EXPECT_EQ(decoded(model_, options).flops_saved, 0);
  options.exit_threshold = 1e30;
  options.exit = ExitRule::kl;
  ModelConfig coda_and_head = config;
  coda_and_head.prelude_layers = 0;
  const double look = 2 * macs(coda_and_head, 1) - macs(coda_and_head, 2);
  EXPECT_NEAR(decoded(model_, options).flops_saved, 1 - (macs(config, 2) + look) / macs(config, 3),
              1e-9);
  options.exit_threshold = 0;
  EXPECT_NEAR(decoded(model_, options).flops_saved, -2 * look / macs(config, 3), 1e-9);
}

}  // namespace
}  // namespace mythos
