#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "../device.h"
#include "alone.h"
#include "fixture.h"

namespace mythos {
namespace {

void expect_near(const std::vector<float>& got, const std::vector<float>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-4) << "logit " << i;
}

// Logits of the last position from one pass over everything, without a cache.
std::vector<float> full_forward(const Model& model, const std::vector<uint32_t>& ids,
                                int64_t loops) {
  const at::NoGradGuard no_grad;
  const Weights weights = make_weights(model.config, model.parameters, at::kFloat);
  Tensor input = at::empty({1, static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), input.data_ptr<int64_t>());
  ForwardOptions options;
  options.loops = loops;
  const Tensor hidden =
      forward(model.config, weights, input.to(weights.embed.device()), options).hidden;
  const Tensor scores = logits(weights, hidden.select(1, hidden.size(1) - 1)).cpu().contiguous();
  return {scores.data_ptr<float>(), scores.data_ptr<float>() + scores.numel()};
}

std::vector<float> feed(Decoder& decoder, KvCache& cache, std::span<const uint32_t> ids) {
  std::vector<float> logits(static_cast<size_t>(decoder.config().vocab_size));
  decoder.prefill(cache, ids, logits.data());
  return logits;
}

class Prefill : public OnDeviceTest<Attention> {};

TEST_P(Prefill, TokenByTokenEqualsTheFullForwardAtSeveralLoopCounts) {
  const Model model = small_model(value(), device_);
  const std::vector<uint32_t> ids = small_prompt(13);
  Decoder decoder(model, fp32());
  for (const int64_t loops : {1, 3, 5}) {
    const auto cache = decoder.make_cache(loops, 16);
    std::vector<float> logits = feed(decoder, *cache, std::span(ids).first(9));
    for (size_t i = 9; i < ids.size(); ++i) {
      logits = feed(decoder, *cache, std::span(ids).subspan(i, 1));
    }
    EXPECT_EQ(cache->length(), 13);
    expect_near(logits, full_forward(model, ids, loops));
  }
}

TEST_P(Prefill, InChunksEqualsOnePass) {
  const Model model = small_model(value(), device_);
  const std::vector<uint32_t> ids = small_prompt(23);
  const auto in_chunks = [&](int64_t chunk) {
    Decoder::Options options = fp32();
    options.prefill_chunk = chunk;
    Decoder decoder(model, options);
    return feed(decoder, *decoder.make_cache(3, 32), ids);
  };
  const std::vector<float> whole = in_chunks(512);
  for (const int64_t chunk : {1, 5, 22, 23}) expect_near(in_chunks(chunk), whole);
}

TEST_P(Prefill, TruncateForgets) {
  const Model model = small_model(value(), device_);
  const std::vector<uint32_t> ids = small_prompt(12);
  Decoder decoder(model, fp32());
  const auto cache = decoder.make_cache(3, 16);
  feed(decoder, *cache, std::span(ids).first(6));
  const std::vector<float> once = feed(decoder, *cache, std::span(ids).subspan(6));
  cache->truncate(6);
  EXPECT_EQ(feed(decoder, *cache, std::span(ids).subspan(6)), once);
}

// Whatever a cache keeps: what follows a copied beginning is the same to the last bit.
TEST_P(Prefill, GoesOnBehindACopiedPrefix) {
  const Model model = small_model(value(), device_);
  const std::vector<uint32_t> ids = small_prompt(40);
  const c10::InferenceMode guard;
  for (const CacheSharing sharing : {CacheSharing::per_loop, CacheSharing::last_loop,
                                     CacheSharing::average, CacheSharing::modulo}) {
    for (const CacheType type :
         {CacheType::fp32, CacheType::bf16, CacheType::int8, CacheType::int4}) {
      for (const int64_t chunk : {10, 20}) {  // on the CPU the native path, and nn::forward
        Decoder::Options options = fp32();
        options.cache = {sharing, type, 2, {}};
        options.prefill_chunk = chunk;
        Decoder decoder(model, options);
        const auto whole = decoder.make_cache(3, 40), copied = decoder.make_cache(3, 1);
        const std::vector<float> want = feed(decoder, *whole, ids);
        copied->copy_prefix(*whole, 10);
        EXPECT_EQ(copied->length(), 10);
        copied->copy_prefix(*whole, 20);
        EXPECT_EQ(feed(decoder, *copied, std::span(ids).subspan(20)), want)
            << enum_name(sharing) << " " << enum_name(type) << " in chunks of " << chunk;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Attention, Prefill,
    testing::ValuesIn(on_each_device(std::vector{Attention::gqa, Attention::mla})),
    [](const auto& info) {
      return info.param.device + "_" + std::string(enum_name(info.param.value));
    });

}  // namespace
}  // namespace mythos
