#include "infer/engine/decoder.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include "../device.h"
#include "../model/sample_model.h"
#include "base/error.h"
#include "base/strings.h"

namespace mythos {
namespace {

Decoder::Options fp32() {
  Decoder::Options options;
  options.compute_type = ComputeType::fp32;
  return options;
}

std::vector<uint32_t> ids_of(const ModelConfig& config, int64_t count, int64_t seed = 0) {
  std::vector<uint32_t> ids;
  for (int64_t i = 0; i < count; ++i) {
    ids.push_back(static_cast<uint32_t>((i * i * 7 + 3 * i + 11 * seed + 5) % config.vocab_size));
  }
  return ids;
}

// Wide weights, so that every part tells.
Model wide_model(ModelConfig config, at::Device device = at::kCPU) {
  config.init_std = 0.2;
  return sample_model(config, 3, device);
}

// The logits after each of `ids`, fed one after the other.
std::vector<std::vector<float>> one_by_one(Decoder& decoder, const std::vector<uint32_t>& ids,
                                           int64_t loops,
                                           std::vector<int64_t>* loops_run = nullptr) {
  const auto cache = decoder.make_cache(loops, 2);
  std::vector<std::vector<float>> out;
  for (const uint32_t id : ids) {
    out.emplace_back(decoder.config().vocab_size);
    Decoder::Row row{cache.get(), id, 0, out.back().data(), 0};
    decoder.step({&row, 1});
    if (loops_run) loops_run->push_back(row.loops_run);
  }
  EXPECT_EQ(cache->length(), static_cast<int64_t>(ids.size()));
  return out;
}

void expect_near(const std::vector<float>& got, const std::vector<float>& want, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  double most = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    most = std::max(most, static_cast<double>(std::fabs(got[i] - want[i])));
    size = std::max(size, static_cast<double>(std::fabs(want[i])));
  }
  EXPECT_LE(most, tolerance * std::max(size, 1.0)) << what;
}

// The native path of the CPU against the plain one of each device.
class DecoderOf : public OnDeviceTest<NamedConfig> {
 protected:
  const ModelConfig& config() const { return value().config; }
  // fp32 sums in another order.
  double tolerance() const { return device_.is_cpu() ? 1e-4 : 1e-3; }
};

TEST_P(DecoderOf, TheNativeStepEqualsThePlainOne) {
  const Model model = wide_model(config()), there = wide_model(config(), device_);
  const std::vector<uint32_t> ids = ids_of(config(), 40);
  Decoder native(model, fp32());
  Decoder::Options plain_options = fp32();
  plain_options.native = false;
  Decoder plain(there, plain_options);
  for (const int64_t loops : {1, 3, 5}) {
    std::vector<int64_t> depths, plain_depths;
    const auto got = one_by_one(native, ids, loops, &depths);
    const auto want = one_by_one(plain, ids, loops, &plain_depths);
    EXPECT_EQ(plain_depths, depths) << loops;
    for (size_t i = 0; i < ids.size(); ++i) {
      expect_near(got[i], want[i], tolerance(), strprintf("loops %d token %u", (int)loops, i));
    }
  }
}

// Every kind of cache: what is stored and what is shared.
TEST_P(DecoderOf, TheNativeStepEqualsThePlainOneOnEveryCache) {
  const Model model = wide_model(config()), there = wide_model(config(), device_);
  const std::vector<uint32_t> ids = ids_of(config(), 20);
  for (const auto type : {CacheType::fp32, CacheType::bf16, CacheType::int8, CacheType::int4}) {
    for (const auto sharing : {CacheSharing::per_loop, CacheSharing::last_loop,
                               CacheSharing::average, CacheSharing::modulo}) {
      Decoder::Options options = fp32();
      options.cache = {sharing, type, 2, {}};
      Decoder native(model, options);
      options.native = false;
      Decoder plain(there, options);
      const auto got = one_by_one(native, ids, 3), want = one_by_one(plain, ids, 3);
      for (size_t i = 0; i < ids.size(); ++i) {
        // Where the last bit differs, a number may be rounded to the other neighbour.
        expect_near(got[i], want[i],
                    type == CacheType::fp32   ? tolerance()
                    : type == CacheType::int4 ? 0.2
                                              : 0.02,
                    strprintf("%s %s token %u", enum_name(type), enum_name(sharing), i));
      }
    }
  }
}

TEST_P(DecoderOf, Bf16WeightsStayNearFp32) {
  const Model model = sample_model(config(), 3, device_);
  const std::vector<uint32_t> ids = ids_of(config(), 12);
  Decoder wide(model, fp32());
  Decoder::Options options = fp32();
  options.compute_type = ComputeType::bf16;
  Decoder narrow(model, options);
  const auto got = one_by_one(narrow, ids, 3), want = one_by_one(wide, ids, 3);
  for (size_t i = 0; i < ids.size(); ++i) expect_near(got[i], want[i], 0.02, std::to_string(i));
}

// Sequences of different lengths and loop counts, and several tokens of one, share steps.
TEST_P(DecoderOf, ARowDoesNotDependOnItsCompany) {
  const Model model = wide_model(config(), device_);
  Decoder decoder(model, fp32());
  const int64_t loops[3] = {2, 4, 3};
  std::vector<std::vector<uint32_t>> ids;
  std::vector<std::vector<std::vector<float>>> want;
  std::vector<std::unique_ptr<KvCache>> caches;
  for (int64_t s = 0; s < 3; ++s) {
    ids.push_back(ids_of(config(), 12, s));
    want.push_back(one_by_one(decoder, ids.back(), loops[s]));
    caches.push_back(decoder.make_cache(loops[s], 2));
  }
  // Sequence 0 takes 3 tokens a step, 1 takes 2, 2 takes 1.
  for (size_t turn = 0; turn < 4; ++turn) {
    std::vector<Decoder::Row> rows;
    std::vector<std::vector<float>> out(6, std::vector<float>(config().vocab_size));
    std::vector<std::pair<size_t, size_t>> names;
    for (size_t s = 0; s < 3; ++s) {
      for (size_t i = 0; i < 3 - s; ++i) {
        const size_t at = turn * (3 - s) + i;
        names.emplace_back(s, at);
        rows.push_back({caches[s].get(), ids[s][at], 0, out[rows.size()].data(), 0});
      }
    }
    decoder.step(rows);
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto [s, at] = names[i];
      const std::string what = strprintf("sequence %u token %u", s, at);
      // Several tokens of one sequence are one product elsewhere, in another order.
      if (device_.is_cpu()) {
        EXPECT_EQ(out[i], want[s][at]) << what;
      } else {
        expect_near(out[i], want[s][at], tolerance(), what);
      }
    }
  }
}

TEST_P(DecoderOf, PrefillThenStepsEqualStepsAlone) {
  const Model model = wide_model(config(), device_);
  Decoder decoder(model, fp32());
  const std::vector<uint32_t> ids = ids_of(config(), 33);
  const auto want = one_by_one(decoder, ids, 3);
  const auto cache = decoder.make_cache(3, 4);
  std::vector<float> logits(config().vocab_size);
  decoder.prefill(*cache, std::span(ids).first(25), logits.data());
  expect_near(logits, want[24], tolerance(), "prefill");
  decoder.prefill(*cache, std::span(ids).subspan(25), logits.data());
  expect_near(logits, want[32], tolerance(), "few tokens more");
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, DecoderOf, testing::ValuesIn(on_each_device(all_mechanisms())),
                         [](const auto& info) {
                           return info.param.device + "_" + info.param.value.name;
                         });

class PlainDecoder : public DeviceTest {
 protected:
  static ModelConfig halting(Halting kind, double threshold) {
    ModelConfig config = small_config();
    config.halting = kind;
    config.act_threshold = threshold;
    return config;
  }
};

TEST_P(PlainDecoder, CountsTheLoopsThatActLetsATokenRun) {
  const ModelConfig config = halting(Halting::act, 0.6);
  const std::vector<uint32_t> ids = ids_of(config, 30);
  const Model model = wide_model(config), there = wide_model(config, device_);
  Decoder native(model, fp32());
  for (const ExitRule exit : {ExitRule::none, ExitRule::halting}) {
    Decoder::Options options = fp32();
    options.native = false;
    options.exit = exit;
    Decoder plain(there, options);
    std::vector<int64_t> want, got;
    one_by_one(native, ids, 5, &want);
    one_by_one(plain, ids, 5, &got);
    EXPECT_EQ(got, want);
    EXPECT_NE(want, std::vector<int64_t>(ids.size(), 5));
    // Several tokens of one sequence in one step.
    const auto cache = plain.make_cache(5, 8);
    std::vector<Decoder::Row> rows;
    for (const uint32_t id : ids) rows.push_back({cache.get(), id, 0, nullptr, 0});
    plain.step(rows);
    for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].loops_run, want[i]) << i;
  }
}

TEST_P(PlainDecoder, RefusesAnExitByAHeadThatTheModelLacks) {
  const Model model = sample_model(small_config(), 3, device_);
  Decoder::Options options = fp32();
  options.exit = ExitRule::halting;
  try {
    const Decoder decoder(model, options);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_TRUE(error.message().starts_with("exit by halting: the model has no"));
  }
}

// Every step attends to one key more, and every prompt has another length.
TEST_P(PlainDecoder, LeavesOutCudnnAttentionAndPutsItBack) {
  const Model model = sample_model(small_config(), 3, device_);
  Decoder::Options options = fp32();
  options.native = false;
  Decoder decoder(model, options);
  const auto cache = decoder.make_cache(2, 8);
  std::vector<float> logits(small_config().vocab_size);
  at::globalContext().setSDPUseCuDNN(true);
  static int operators;
  operators = 0;
  const auto watch = [](const at::RecordFunction&) -> std::unique_ptr<at::ObserverContext> {
    ++operators;
    EXPECT_FALSE(at::globalContext().userEnabledCuDNNSDP());
    return nullptr;
  };
  const auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(watch));
  decoder.prefill(*cache, ids_of(small_config(), 7), logits.data());
  at::removeCallback(handle);
  EXPECT_GT(operators, 100);
  EXPECT_TRUE(at::globalContext().userEnabledCuDNNSDP());
  Decoder::Row row{cache.get(), 1, 0, logits.data(), 0};
  decoder.step({&row, 1});
  EXPECT_TRUE(at::globalContext().userEnabledCuDNNSDP());
}

INSTANTIATE_TEST_SUITE_P(Devices, PlainDecoder, testing::ValuesIn(test_devices()), device_name);

TEST(SlowWeights, AreThoseThatACudaDeviceExpandsForEveryUse) {
  const at::Device gpu(at::kCUDA, 0);
  for (const WeightFormat weights : {WeightFormat::plain, WeightFormat::int8, WeightFormat::int4}) {
    EXPECT_EQ(slow_weights(weights, at::kCPU), "");
  }
  EXPECT_EQ(slow_weights(WeightFormat::plain, gpu), "");
  EXPECT_TRUE(
      slow_weights(WeightFormat::int8, gpu).starts_with("int8 weights are slower than bf16"));
  EXPECT_TRUE(
      slow_weights(WeightFormat::int4, gpu).starts_with("int4 weights are slower than bf16"));
}

}  // namespace
}  // namespace mythos
