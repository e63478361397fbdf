#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "../device.h"
#include "../model/sample_model.h"
#include "../scratch.h"
#include "checkpoint/cache_basis.h"
#include "infer/engine/decoder.h"

namespace mythos {
namespace {

constexpr int64_t kLoops = 3;

class LowRankDecoder : public OnDeviceTest<Attention> {
 protected:
  LowRankDecoder() : model_(small_config()) {
    ModelConfig config = small_config();
    config.attention = value();
    config.init_std = 0.2;
    model_ = sample_model(config, 3, device_);
  }
  // The path of a basis that was fitted to a text of the model.
  std::string fitted(int64_t rank) const {
    const at::NoGradGuard no_grad;
    const Weights weights = make_weights(model_.config, model_.parameters, at::kFloat);
    CrossLoopFit fit(model_.config, kLoops, device_);
    ForwardOptions options;
    options.loops = kLoops;
    options.cache = &fit;
    forward(model_.config, weights, sample_ids(model_.config, 4, 30, device_), options);
    auto [basis, kept] = fit.fit(rank);
    basis.probe = cross_loop_probe(weights.embed);
    const std::string path = (scratch_ / "b.basis").string();
    save_cache_basis(path, basis);
    return path;
  }
  int64_t full() const { return kLoops * CrossLoopShape(model_.config).width; }
  Decoder::Options options(const std::string& basis = "") const {
    Decoder::Options out;
    out.compute_type = ComputeType::fp32;
    out.prefill_chunk = 17;  // the first prompt: tensors, then a row; the second one: rows
    if (basis.empty()) return out;
    out.cache.sharing = CacheSharing::low_rank;
    out.cache.basis = basis;
    return out;
  }
  // The logits behind a prompt in chunks, then of tokens of two sequences side by side.
  Tensor logits(const Decoder::Options& options) const {
    Decoder decoder(model_, options);
    const int64_t V = model_.config.vocab_size;
    Tensor out = at::zeros({10, V});
    const auto row = [&](int64_t i) { return out[i].data_ptr<float>(); };
    const auto first = decoder.make_cache(kLoops, 2), second = decoder.make_cache(kLoops, 2);
    std::vector<uint32_t> prompt;
    for (uint32_t i = 0; i < 18; ++i) prompt.push_back((7 * i * i + 3) % 61);
    decoder.prefill(*first, prompt, row(0));
    decoder.prefill(*second, std::span(prompt).first(5), row(1));
    for (int64_t i = 2; i < 10; i += 2) {
      Decoder::Row rows[] = {{first.get(), static_cast<uint32_t>(i), 0, row(i), 0},
                             {second.get(), static_cast<uint32_t>(3 * i), 0, row(i + 1), 0}};
      decoder.step(rows);
    }
    return out;
  }

  const Scratch scratch_;
  Model model_;
};

double difference(const Tensor& a, const Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

TEST_P(LowRankDecoder, TheFullRankEqualsKeysOfEachLoop) {
  const Tensor want = logits(options());
  EXPECT_LE(difference(logits(options(fitted(full()))), want), 2e-4);
  EXPECT_GT(difference(logits(options(fitted(2))), want), 5e-3);
}

TEST_P(LowRankDecoder, TokensThatStopLeaveWhatTheyHave) {
  Decoder::Options exact = options();
  exact.exit = ExitRule::latent;
  exact.exit_threshold = 0.5;
  Decoder::Options full_rank = options(fitted(full()));
  full_rank.exit = exact.exit;
  full_rank.exit_threshold = exact.exit_threshold;
  EXPECT_LE(difference(logits(full_rank), logits(exact)), 2e-4);
  EXPECT_GT(difference(logits(exact), logits(options())), 1e-3) << "no token stopped";
}

// Rows of floats and tensors keep the same.
TEST_P(LowRankDecoder, TheNativeStepEqualsThePlainOne) {
  const std::string path = fitted(full() / 2);
  for (const CacheType type :
       {CacheType::fp32, CacheType::bf16, CacheType::int8, CacheType::int4}) {
    for (const ExitRule exit : {ExitRule::none, ExitRule::latent}) {
      Decoder::Options native = options(path);
      native.cache.type = type;
      native.exit = exit;
      native.exit_threshold = exit == ExitRule::none ? -1 : 0.5;
      Decoder::Options plain = native;
      plain.native = false;
      // A sum in another order may round a coordinate the other way.
      const double tolerance = type == CacheType::fp32   ? 2e-4
                               : type == CacheType::int4 ? 0.1
                                                         : 0.01;
      EXPECT_LE(difference(logits(native), logits(plain)), tolerance)
          << enum_name(type) << " " << enum_name(exit);
    }
  }
}

TEST_P(LowRankDecoder, RoundedWeightsChangeNoMoreThanElsewhere) {
  Decoder::Options exact = options(), full_rank = options(fitted(full()));
  exact.weights = full_rank.weights = WeightFormat::int8;
  EXPECT_LE(difference(logits(full_rank), logits(exact)), 2e-4);
}

TEST_P(LowRankDecoder, RefusesTheBasisOfAnotherModel) {
  const std::string path = fitted(4);
  const Model other = sample_model(model_.config, 4, device_);
  const std::string message =
      error_of(ErrorKind::data, [&] { Decoder decoder(other, options(path)); });
  EXPECT_TRUE(contains(message, path + ": was fitted to another model")) << message;
  Decoder decoder(model_, options(path));
  EXPECT_TRUE(contains(error_of(ErrorKind::usage, [&] { decoder.make_cache(kLoops + 1, 4); }),
                       path + " was fitted for 3 loops; 4 are asked for."));
}

INSTANTIATE_TEST_SUITE_P(
    Attention, LowRankDecoder,
    testing::ValuesIn(on_each_device(std::vector{Attention::gqa, Attention::mla})),
    [](const auto& info) {
      return info.param.device + "_" + std::string(enum_name(info.param.value));
    });

}  // namespace
}  // namespace mythos
