#include "model/cross_loop.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "../device.h"
#include "../scratch.h"
#include "device/tensor_memory.h"
#include "ops/attention/rope.h"
#include "sample_model.h"

namespace mythos {
namespace {

constexpr int64_t kLoops = 3;

// Attention of two kinds, with keys that are turned in both pairings.
std::vector<NamedConfig> attentions() {
  std::vector<NamedConfig> out = {{"mla", small_config()}, {"gqa", small_config()}};
  out[0].config.core_layers = 2;
  out[1].config.attention = Attention::gqa;
  out[1].config.core_kv_heads = 3;
  out[1].config.rope_pairing = RopePairing::halves;
  for (NamedConfig& named : out) named.config.init_std = 0.2;
  return out;
}

class CrossLoop : public OnDeviceTest<NamedConfig> {
 protected:
  CrossLoop()
      : config_(value().config),
        model_(sample_model(config_, 3, device_)),
        weights_(make_weights(config_, model_.parameters, at::kFloat)) {
    at::manual_seed(7);
  }
  bool mla() const { return config_.attention == Attention::mla; }
  CrossLoopShape shape() const { return CrossLoopShape(config_); }
  int64_t full() const { return kLoops * shape().width; }
  Tensor ids(int64_t batch, int64_t length) const {
    return sample_ids(config_, batch, length, device_);
  }

  std::shared_ptr<CrossLoopBasis> fitted(int64_t rank) const {
    CrossLoopFit fit(config_, kLoops, device_);
    ForwardOptions options;
    options.loops = kLoops;
    options.cache = &fit;
    forward(config_, weights_, ids(3, 40), options);
    auto basis = std::make_shared<CrossLoopBasis>(fit.fit(rank).basis);
    basis->probe = cross_loop_probe(weights_.embed);
    return basis;
  }
  std::unique_ptr<KvCache> low_rank(const std::shared_ptr<CrossLoopBasis>& basis,
                                    CacheType type = CacheType::fp32,
                                    int64_t loops = kLoops) const {
    CacheOptions options;
    options.sharing = CacheSharing::low_rank;
    options.type = type;
    return make_cache(config_, loops, 2, 4, device_, at::kFloat, options, basis);
  }
  std::unique_ptr<KvCache> per_loop(int64_t loops = kLoops) const {
    return make_cache(config_, loops, 2, 4, device_, at::kFloat);
  }

  // Hidden states of a batch that goes through a cache in pieces.
  Tensor hidden(KvCache& cache, const Tensor& tokens, const Exit& exit = {}) const {
    std::vector<Tensor> out;
    int64_t begin = 0;
    for (const int64_t count : {20, 1, 3, 1, 1}) {
      ForwardOptions options;
      options.loops = cache.loops();
      options.cache = &cache;
      options.exit = exit;
      out.push_back(forward(config_, weights_, tokens.narrow(1, begin, count), options).hidden);
      begin += count;
    }
    return at::cat(out, 1);
  }
  // Keys or values [B,S,...] as attention hands them over.
  Tensor random(int64_t batch, int64_t tokens) const {
    std::vector<int64_t> sizes = {batch, tokens, shape().units, shape().width};
    if (mla()) sizes.erase(sizes.begin() + 2);
    return at::randn(sizes).to(device_);
  }

  const at::NoGradGuard no_grad_;
  ModelConfig config_;
  Model model_;
  Weights weights_;
};

double largest(const Tensor& x) {
  return x.abs().max().item<double>();
}

TEST_P(CrossLoop, TheFullRankEqualsKeysOfEachLoop) {
  const Tensor tokens = ids(2, 26);
  const auto cache = low_rank(fitted(full())), exact = per_loop();
  EXPECT_LE(largest(hidden(*cache, tokens) - hidden(*exact, tokens)), 2e-4);
  // A lower rank does not, so that the comparison means something.
  const auto rough = low_rank(fitted(2)), again = per_loop();
  EXPECT_GT(largest(hidden(*rough, tokens) - hidden(*again, tokens)), 1e-2);
}

// Also with fewer loops than the basis has, and where tokens stop early.
TEST_P(CrossLoop, TheFullRankEqualsKeysOfEachLoopOfTokensThatStop) {
  const Tensor tokens = ids(2, 26);
  const auto basis = fitted(full());
  const auto two = low_rank(basis, CacheType::fp32, 2), exact = per_loop(2);
  EXPECT_LE(largest(hidden(*two, tokens) - hidden(*exact, tokens)), 2e-4);

  const Exit exit{ExitRule::latent, 0.6};
  const auto stops = low_rank(basis), stops_exact = per_loop(), runs = per_loop();
  const Tensor want = hidden(*stops_exact, tokens, exit);
  EXPECT_LE(largest(hidden(*stops, tokens, exit) - want), 2e-4);
  EXPECT_GT(largest(hidden(*runs, tokens) - want), 1e-3) << "no token stopped";
}

// The error of the values that were fitted is the energy of the singular values that were dropped.
TEST_P(CrossLoop, TheFitIsTheBestOfItsRank) {
  const size_t part = mla() ? 0 : 1;
  CrossLoopFit fit(config_, kLoops, device_);
  std::vector<Tensor> loops;
  // With one position alone, keys are not turned.
  for (int64_t t = 0; t < kLoops; ++t) loops.push_back(random(50, 1) * static_cast<double>(t + 1));
  for (int64_t layer = 0; layer < config_.core_layers; ++layer) {
    for (int64_t t = 0; t < kLoops; ++t) {
      const Tensor& x = loops[static_cast<size_t>(t)];
      fit.append({Section::core, layer, t}, x, mla() ? Tensor() : x, {});
    }
  }
  fit.advance(1);
  const int64_t units = shape().units, width = shape().width;
  std::vector<Tensor> parts;
  for (const Tensor& loop : loops) parts.push_back(loop.reshape({50, units, width}));
  const Tensor x = at::cat(parts, 2).transpose(0, 1).to(at::kDouble);  // [U,50,T·W]
  const Tensor squares = std::get<1>(at::linalg_svd(x, false)).square();
  for (const int64_t rank : {int64_t{1}, int64_t{5}, full() - 1}) {
    const auto result = fit.fit(rank);
    const Tensor basis = result.basis.layers.back()[part].to(device_, at::kDouble);
    ASSERT_EQ(basis.sizes(), (std::vector<int64_t>{units, full(), rank}));
    const Tensor eye = at::eye(rank, basis.options());
    EXPECT_LE(largest(at::matmul(basis.transpose(1, 2), basis) - eye), 1e-5);
    const Tensor rebuilt = at::matmul(at::matmul(x, basis), basis.transpose(1, 2));
    const double error = (x - rebuilt).square().sum().item<double>();
    const double all = squares.sum().item<double>();
    const double kept = squares.narrow(1, 0, std::min(rank, squares.size(1))).sum().item<double>();
    EXPECT_NEAR(error, all - kept, 1e-5 * all);
    EXPECT_NEAR(result.kept.back()[part], kept / all, 1e-9);
  }
}

// A pass of few tokens leaves the most to what solves, one of many to the pass.
TEST_P(CrossLoop, FittingHoldsWhatItSays) {
  if (!device_.is_cpu()) GTEST_SKIP() << "tensors are counted on the CPU";
  count_tensor_memory();
  constexpr int64_t kMany = 8;
  for (const int64_t tokens : {40, 1000}) {
    for (const int64_t rank : {int64_t{1}, kMany * shape().width}) {
      const Tensor x = random(tokens, 1);
      const int64_t before = tensor_bytes();
      take_most_tensor_bytes();
      CrossLoopFit fit(config_, kMany, device_);
      for (int64_t t = 0; t < kMany; ++t) {
        for (int64_t layer = 0; layer < config_.core_layers; ++layer) {
          fit.append({Section::core, layer, t}, x, mla() ? Tensor() : x, {});
        }
      }
      fit.advance(1);
      fit.fit(rank);
      const auto held = static_cast<double>(take_most_tensor_bytes() - before);
      EXPECT_NEAR(CrossLoopFit::most_bytes(config_, kMany, rank, tokens) / held, 1, 0.125)
          << tokens << " tokens, rank " << rank;
    }
  }
}

// One scale serves several coordinates, so none may be much larger than the others.
TEST_P(CrossLoop, CoordinatesAreOfOneSize) {
  const size_t part = mla() ? 0 : 1;
  CrossLoopFit fit(config_, kLoops, device_);
  std::vector<Tensor> loops;
  for (int64_t t = 0; t < kLoops; ++t) {
    loops.push_back(random(60, 1) + 20 * random(1, 1));
    const Tensor& x = loops.back();
    fit.append({Section::core, 0, t}, x, mla() ? Tensor() : x, {});
  }
  fit.advance(1);
  const Tensor basis = fit.fit(full() / 2).basis.layers[0][part].to(device_);
  std::vector<Tensor> parts;
  for (const Tensor& x : loops) parts.push_back(x.reshape({60, shape().units, shape().width}));
  const Tensor x = at::cat(parts, 2).transpose(0, 1);  // [U,60,T·W]
  const Tensor size = at::matmul(x, basis).square().mean(1).sqrt();
  EXPECT_LE((size.amax(1) / size.amin(1)).max().item<double>(), 3);
}

// Keys that are one vector at every position are of rank 1, however far they have been turned.
TEST_P(CrossLoop, PositionsTakeNoRank) {
  CrossLoopFit fit(config_, kLoops, device_);
  const Tensor one = random(1, 1).expand_as(random(1, 30)).contiguous();
  const auto [cos, sin] = rope_table(0, 30, config_.rope_dim(), config_.rope_theta, device_);
  const Tensor units = one.reshape({1, 30, shape().units, shape().width});
  const Tensor turned = rope(units, cos, sin, config_.rope_pairing).reshape(one.sizes());
  for (int64_t t = 0; t < kLoops; ++t) {
    fit.append({Section::core, 0, t}, turned, mla() ? Tensor() : turned, {});
  }
  fit.advance(30);
  const auto result = fit.fit(1);
  EXPECT_NEAR(result.kept[0][0], 1, 1e-6);
  if (!mla()) {
    EXPECT_LT(result.kept[0][1], 0.99);
  }
}

// What a slot gives back: the new tokens as they are, behind earlier ones by their coordinates.
TEST_P(CrossLoop, ACacheKeepsTheCoordinates) {
  const auto basis = fitted(4);
  const auto cache = low_rank(basis);
  const int64_t parts = mla() ? 1 : 2, numbers = shape().units * 4;
  const CacheLayout plain(config_, Section::prelude);
  const int64_t others = (config_.prelude_layers + config_.coda_layers) * plain.numbers();
  EXPECT_EQ(cache->bytes_per_token(), 4 * (config_.core_layers * parts * numbers + others));

  std::vector<Tensor> first, second;
  for (int64_t t = 0; t < kLoops; ++t)
    first.push_back(random(2, 6)), second.push_back(random(2, 2));
  const auto feed = [&](KvCache& to, const std::vector<Tensor>& loops) {
    std::vector<std::pair<Tensor, Tensor>> seen;
    for (int64_t t = 0; t < kLoops; ++t) {
      const Tensor& x = loops[static_cast<size_t>(t)];
      for (int64_t layer = 0; layer < config_.core_layers; ++layer) {
        const auto all = to.append({Section::core, layer, t}, x, mla() ? Tensor() : x);
        if (layer == 0) seen.push_back(all);
      }
    }
    to.advance(loops[0].size(1));
    return seen;
  };
  for (const auto& [a, b] : feed(*cache, first)) EXPECT_EQ(a.size(1), 6);
  const auto seen = feed(*cache, second);
  const size_t part = mla() ? 0 : 1;
  for (size_t t = 0; t < seen.size(); ++t) {
    const Tensor all = mla() ? seen[t].first : seen[t].second;
    EXPECT_EQ(all.size(1), 8);
    EXPECT_TRUE(all.narrow(1, 6, 2).equal(second[t]));
    EXPECT_FALSE(all.narrow(1, 0, 6).equal(first[t]));
  }
  if (!mla()) {
    std::vector<Tensor> stacked;
    for (const Tensor& x : first) stacked.push_back(x);
    const Tensor x = at::cat(stacked, 3).unsqueeze(3);     // [B,6,U,1,T·W]
    const Tensor to = basis->layers[0][part].to(device_);  // [U,T·W,R]
    const Tensor want = at::matmul(at::matmul(x, to), to.transpose(1, 2)).squeeze(3);
    for (size_t t = 0; t < seen.size(); ++t) {
      const Tensor block = want.narrow(3, static_cast<int64_t>(t) * shape().width, shape().width);
      EXPECT_LE(largest(seen[t].second.narrow(1, 0, 6) - block), 1e-5);
    }
  }
  // A copied or shortened cache goes on as it was.
  const auto copy = low_rank(basis);
  copy->copy_prefix(*cache, 6);
  cache->truncate(6);
  const auto got = feed(*copy, second), want = feed(*cache, second);
  for (size_t t = 0; t < want.size(); ++t) EXPECT_TRUE(got[t].first.equal(want[t].first));
}

// Loops that a cache does not have, or that rows did not run, count as if they had left what the
// last one did.
TEST_P(CrossLoop, LoopsThatAreNotRunHaveTheLastOnes) {
  const auto basis = fitted(4);
  const auto two = low_rank(basis, CacheType::fp32, 2), three = low_rank(basis);
  const Tensor past[] = {random(2, 5), random(2, 5)}, next = random(2, 1);
  for (int64_t t = 0; t < kLoops; ++t) {
    const Tensor& x = past[std::min<int64_t>(t, 1)];
    three->append({Section::core, 0, t}, x, mla() ? Tensor() : x);
    if (t < 2) two->append({Section::core, 0, t}, x, mla() ? Tensor() : x);
  }
  two->advance(5);
  three->advance(5);
  for (int64_t t = 0; t < 2; ++t) {
    const CacheSlot slot{Section::core, 0, t};
    const auto got = two->append(slot, next, mla() ? Tensor() : next);
    const auto want = three->append(slot, next, mla() ? Tensor() : next);
    EXPECT_TRUE(got.first.equal(want.first));
    if (!mla()) {
      EXPECT_TRUE(got.second.equal(want.second));
    }
  }
}

// Coordinates are rounded as keys are.
TEST_P(CrossLoop, RoundsCoordinates) {
  const Tensor tokens = ids(2, 26);
  const auto basis = fitted(full() / 2);
  const Tensor want = hidden(*low_rank(basis), tokens);
  const int64_t fp32 = low_rank(basis)->bytes_per_token();
  for (const auto& [type, tolerance] : {std::pair(CacheType::bf16, 0.05), {CacheType::int8, 0.1}}) {
    const auto cache = low_rank(basis, type);
    EXPECT_LT(cache->bytes_per_token(), fp32);
    const double error = largest(hidden(*cache, tokens) - want);
    EXPECT_LE(error, tolerance * largest(want)) << enum_name(type);
    EXPECT_GT(error, 0) << enum_name(type);
  }
  EXPECT_LT(low_rank(basis, CacheType::int4)->bytes_per_token(),
            low_rank(basis, CacheType::int8)->bytes_per_token());
}

TEST_P(CrossLoop, RefusesMoreLoopsThanItWasFittedFor) {
  const auto basis = fitted(3);
  EXPECT_EQ(error_of(ErrorKind::usage, [&] { low_rank(basis, CacheType::fp32, 4); }),
            "the basis was fitted for 3 loops; 4 are asked for.\n"
            "Fit one for so many: mythos fit-cache --loops 4");
}

TEST_P(CrossLoop, KnowsItsModelAgain) {
  const auto basis = fitted(3);
  check_cross_loop(*basis, config_, weights_.embed);
  check_cross_loop(*basis, config_, weights_.embed.to(at::kBFloat16));
  const auto refused = [&](const ModelConfig& config, const Tensor& embedding) {
    return error_of(ErrorKind::data, [&] { check_cross_loop(*basis, config, embedding); });
  };
  const Model other = sample_model(config_, 4, device_);
  const Weights weights = make_weights(config_, other.parameters, at::kFloat);
  EXPECT_TRUE(contains(refused(config_, weights.embed), "was fitted to another model, whose"));
  ModelConfig changed = config_;
  changed.core_layers = 5;
  EXPECT_TRUE(contains(refused(changed, weights_.embed), "core layers; this one has 5."));
  changed = config_;
  mla() ? changed.kv_lora_rank = 8 : changed.head_width = 10;
  EXPECT_TRUE(contains(refused(changed, weights_.embed), "a layer's basis is ["));
  changed = config_;
  changed.attention = mla() ? Attention::gqa : Attention::mla;
  EXPECT_TRUE(contains(refused(changed, weights_.embed), "another attention"));
}

INSTANTIATE_TEST_SUITE_P(Attention, CrossLoop, testing::ValuesIn(on_each_device(attentions())),
                         [](const auto& info) {
                           return info.param.device + "_" + info.param.value.name;
                         });

}  // namespace
}  // namespace mythos
