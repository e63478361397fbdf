#include "model/kv_cache.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "../device.h"
#include "arch/plan.h"
#include "sample_model.h"

namespace mythos {
namespace {

// Keys (and for gqa values) of one step as attention hands them over.
struct Pair {
  Tensor a, b;
};

class CacheOf : public OnDeviceTest<Attention> {
 protected:
  CacheOf() {
    config_.attention = value();
    config_.n_kv_heads = 3;
    config_.core_layers = 2;
    at::manual_seed(5);
  }
  std::unique_ptr<KvCache> make(CacheType type, CacheSharing sharing = CacheSharing::per_loop,
                                int64_t loops = 3, at::ScalarType compute = at::kFloat) const {
    return make_cache(config_, loops, /*batch=*/2, /*capacity_tokens=*/4, device_, compute,
                      {sharing, type, 2, {}});
  }
  bool mla() const { return config_.attention == Attention::mla; }
  Tensor random(at::IntArrayRef shape) const { return at::randn(shape).to(device_); }
  Pair step(int64_t tokens) const {
    if (mla()) {
      return {random({2, tokens, config_.kv_lora_rank + config_.qk_rope_head_dim}), {}};
    }
    const std::vector<int64_t> shape = {2, tokens, config_.n_kv_heads, config_.head_dim()};
    return {random(shape), random(shape)};
  }
  // Appends to every slot; what each returned.
  std::vector<Pair> feed(KvCache& cache, const std::vector<Pair>& steps) const {
    std::vector<Pair> out;
    for (int64_t i = 0; i < slots(); ++i) {
      const Pair& fresh = steps[static_cast<size_t>(i)];
      const auto [a, b] = cache.append(slot(i), fresh.a, fresh.b);
      out.push_back({a, b});
    }
    cache.advance(steps.front().a.size(1));
    return out;
  }
  std::vector<Pair> steps(int64_t tokens) const {
    std::vector<Pair> out;
    for (int64_t i = 0; i < slots(); ++i) out.push_back(step(tokens));
    return out;
  }
  // The slots of 3 loops with keys of their own, in the order of the forward pass.
  CacheSlot slot(int64_t i) const {
    const int64_t core = i - config_.prelude_layers, coda = core - 3 * 2;
    if (core < 0) return {Section::prelude, i, 0};
    if (coda < 0) return {Section::core, core % 2, core / 2};
    return {Section::coda, coda, 0};
  }
  int64_t slots() const { return config_.prelude_layers + 3 * 2 + config_.coda_layers; }

  ModelConfig config_ = small_config();
};

void expect_equal(const Tensor& got, const Tensor& want) {
  ASSERT_EQ(got.defined(), want.defined());
  if (!want.defined()) return;
  EXPECT_TRUE(got.equal(want));
}

Tensor joined(const Tensor& first, const Tensor& second) {
  return first.defined() ? at::cat({first, second}, 1) : Tensor();
}

TEST_P(CacheOf, ReturnsAllTokensAndGrows) {
  const auto made = make(CacheType::automatic);
  KvCache& cache = *made;
  const auto first = steps(3), second = steps(6), third = steps(1);
  feed(cache, first);
  EXPECT_EQ(cache.length(), 3);
  const auto seen = feed(cache, second);  // beyond the capacity of 4
  EXPECT_EQ(cache.length(), 9);
  for (size_t i = 0; i < seen.size(); ++i) {
    expect_equal(seen[i].a, joined(first[i].a, second[i].a));
    expect_equal(seen[i].b, joined(first[i].b, second[i].b));
  }
  cache.truncate(2);
  const auto after = feed(cache, third);
  for (size_t i = 0; i < after.size(); ++i) {
    expect_equal(after[i].a, joined(first[i].a.narrow(1, 0, 2), third[i].a));
  }
  cache.reserve(40);
  EXPECT_EQ(cache.length(), 3);
  EXPECT_GE(cache.capacity(), 40);
  const auto last = feed(cache, third);
  for (size_t i = 0; i < last.size(); ++i) {
    expect_equal(last[i].a, joined(joined(first[i].a.narrow(1, 0, 2), third[i].a), third[i].a));
  }
}

TEST_P(CacheOf, Bf16AndInt8StayNearAndGrow) {
  for (const CacheType type : {CacheType::bf16, CacheType::int8}) {
    const auto made = make(type);
    KvCache& cache = *made;
    const auto first = steps(3), second = steps(6);
    feed(cache, first);
    const auto seen = feed(cache, second);
    for (size_t i = 0; i < seen.size(); ++i) {
      for (const auto& [got, want] : {std::pair(seen[i].a, joined(first[i].a, second[i].a)),
                                      std::pair(seen[i].b, joined(first[i].b, second[i].b))}) {
        if (!want.defined()) continue;
        ASSERT_EQ(got.scalar_type(), at::kFloat);
        ASSERT_EQ(got.sizes(), want.sizes());
        EXPECT_FALSE(got.equal(want));
        // int8: half a step of the largest of the parts that share a scale.
        int64_t from = 0;
        for (const int64_t width :
             mla() ? CacheLayout(config_, Section::core).a : std::vector{config_.head_dim()}) {
          const Tensor exact = want.narrow(-1, from, width);
          const Tensor error = (got.narrow(-1, from, width) - exact).abs();
          const Tensor bound = type == CacheType::int8 ? exact.abs().amax(-1, true) * (1.001 / 254)
                                                       : exact.abs() * 0x1p-8;
          EXPECT_TRUE((error <= bound).all().item<bool>()) << "slot " << i;
          from += width;
        }
      }
    }
  }
}

TEST_P(CacheOf, GivesTheComputeType) {
  for (const CacheType type :
       {CacheType::fp32, CacheType::bf16, CacheType::int8, CacheType::int4}) {
    const auto made = make(type, CacheSharing::per_loop, 3, at::kBFloat16);
    KvCache& cache = *made;
    const Pair fresh = step(2);
    const auto seen = cache.append({Section::prelude, 0, 0}, fresh.a.to(at::kBFloat16),
                                   mla() ? Tensor() : fresh.b.to(at::kBFloat16));
    EXPECT_EQ(seen.first.scalar_type(), at::kBFloat16);
  }
}

// As many bytes as the plan says.
TEST_P(CacheOf, TakesWhatThePlanSays) {
  const SlotBytes slot = slot_bytes(config_);
  for (const int64_t loops : {1, 3}) {
    const int64_t slots = cache_slots(config_, loops);
    EXPECT_EQ(make(CacheType::bf16, {}, loops)->bytes_per_token(), slots * slot.bf16);
    EXPECT_EQ(make(CacheType::int8, {}, loops)->bytes_per_token(), slots * slot.int8);
    EXPECT_EQ(make(CacheType::fp32, {}, loops)->bytes_per_token(), slots * 2 * slot.bf16);
    EXPECT_EQ(make(CacheType::automatic, {}, loops)->bytes_per_token(), slots * 2 * slot.bf16);
  }
  const auto cache = make(CacheType::bf16);
  EXPECT_EQ(cache->size_bytes(), 2 * 4 * cache->bytes_per_token());
  for (const auto sharing : {CacheSharing::last_loop, CacheSharing::average}) {
    EXPECT_EQ(make(CacheType::bf16, sharing, 64)->bytes_per_token(),
              cache_slots(config_, 1) * slot.bf16);
  }
}

// Loop t sees its own new tokens behind what the last loop, or the mean over the loops, left.
TEST_P(CacheOf, SharingLeavesTheLastLoopOrTheMean) {
  for (const auto sharing : {CacheSharing::last_loop, CacheSharing::average}) {
    const auto made = make(CacheType::fp32, sharing);
    KvCache& cache = *made;
    std::vector<Pair> past;  // what earlier steps left
    for (const int64_t tokens : {2, 3}) {
      std::vector<Pair> left;
      for (int64_t layer = 0; layer < 2; ++layer) {
        Pair mean;
        Pair last;
        for (int64_t loop = 0; loop < 3; ++loop) {
          last = step(tokens);
          mean = {loop ? mean.a + last.a : last.a, mla()  ? Tensor()
                                                   : loop ? mean.b + last.b
                                                          : last.b};
          const auto seen = cache.append({Section::core, layer, loop}, last.a, last.b);
          const auto before = [&](const Tensor& fresh, Tensor Pair::*part) {
            if (past.empty() || !fresh.defined()) return fresh;
            return joined(past[static_cast<size_t>(layer)].*part, fresh);
          };
          expect_equal(seen.first, before(last.a, &Pair::a));
          expect_equal(seen.second, before(last.b, &Pair::b));
        }
        if (sharing == CacheSharing::average) {
          last = {mean.a / 3.0, mla() ? Tensor() : mean.b / 3.0};
        }
        left.push_back(last);
      }
      for (const Section section : {Section::prelude, Section::coda}) {
        const Pair fresh = step(tokens);
        cache.append({section, 0, 0}, fresh.a, fresh.b);
      }
      cache.advance(tokens);
      for (size_t i = 0; i < left.size(); ++i) {
        if (past.empty()) continue;
        left[i] = {joined(past[i].a, left[i].a), mla() ? Tensor() : joined(past[i].b, left[i].b)};
      }
      past = left;
    }
  }
}

// Positions that do not run a loop leave nothing in the mean.
TEST_P(CacheOf, TheMeanIsOverTheLoopsThatAPositionRuns) {
  const auto cache = make(CacheType::fp32, CacheSharing::average);
  const Pair first = step(2), second = step(2);
  Tensor runs = at::ones({2, 2}, at::TensorOptions(at::kBool).device(device_));
  runs[0][1].fill_(false);
  cache->append({Section::core, 0, 0}, first.a, first.b);
  cache->append({Section::core, 0, 1}, second.a, second.b, runs);
  cache->advance(2);
  const Pair next = step(1);
  const auto seen = cache->append({Section::core, 0, 0}, next.a, next.b);
  const auto expect = [&](const Tensor& got, const Tensor& a, const Tensor& b) {
    if (!a.defined()) return;
    const Tensor want =
        ((a + b) / 2)
            .index_put({at::zeros({1}, at::kLong), at::ones({1}, at::kLong)}, a[0][1].unsqueeze(0));
    EXPECT_TRUE(at::allclose(got.narrow(1, 0, 2), want, 1e-6, 1e-7));
  };
  expect(seen.first, first.a, second.a);
  expect(seen.second, first.b, second.b);
}

TEST_P(CacheOf, CopiesAPrefix) {
  for (const CacheSharing sharing : {CacheSharing::per_loop, CacheSharing::last_loop,
                                     CacheSharing::average, CacheSharing::modulo}) {
    for (const CacheType type : {CacheType::fp32, CacheType::int8, CacheType::int4}) {
      const auto from = make(type, sharing), to = make(type, sharing);
      const auto first = steps(6), next = steps(1);
      feed(*from, first);
      to->copy_prefix(*from, 1);
      to->copy_prefix(*from, 4);
      from->truncate(4);
      EXPECT_EQ(to->length(), 4);
      const auto want = feed(*from, next), got = feed(*to, next);
      for (size_t i = 0; i < want.size(); ++i) {
        expect_equal(got[i].a, want[i].a);
        expect_equal(got[i].b, want[i].b);
      }
    }
  }
  const auto from = make(CacheType::fp32), short_loops = make(CacheType::fp32, {}, 5);
  feed(*from, steps(3));
  EXPECT_THROW(make(CacheType::fp32)->copy_prefix(*from, 4), Error);
  EXPECT_THROW(short_loops->copy_prefix(*from, 2), Error);
}

// The numbers of a group that one int4 scale serves, and those of a group that ends within: each
// is off by half a step at most, of steps that are rounded to bf16.
TEST_P(CacheOf, Int4RoundsGroupsOf32) {
  config_.kv_lora_rank = 75;
  config_.n_heads = config_.n_kv_heads = 2;
  config_.head_width = 42;
  const auto cache = make(CacheType::int4);
  const Pair fresh = step(5);
  const auto seen = cache->append({Section::core, 0, 0}, fresh.a, fresh.b);
  for (const auto& [got, want] : {std::pair(seen.first, fresh.a), {seen.second, fresh.b}}) {
    if (!want.defined()) continue;
    ASSERT_EQ(got.sizes(), want.sizes());
    const std::vector<int64_t> widths =
        mla() ? std::vector<int64_t>{32, 32, 11, 4} : std::vector<int64_t>{32, 10};
    int64_t from = 0;
    for (const int64_t width : widths) {
      const Tensor exact = want.narrow(-1, from, width);
      const Tensor error = (got.narrow(-1, from, width) - exact).abs();
      const Tensor most = exact.abs().amax(-1, true);
      EXPECT_TRUE((error <= most * (1.01 / 14)).all().item<bool>()) << from;
      EXPECT_GT(error.max().item<double>(), most.min().item<double>() / 40) << from;
      from += width;
    }
    EXPECT_EQ(from, want.size(-1));
  }
  // Bytes of numbers and of scales: latent 38 + 6, rotated key 2 + 2; a head 21 + 4.
  const int64_t slot = mla() ? 48 : 2 * 2 * 25;
  EXPECT_EQ(cache->bytes_per_token(), cache_slots(config_, 3) * slot);
}

// With 2 slots for 3 loops, the third one finds what the first left and leaves its own.
TEST_P(CacheOf, ModuloKeepsTheNewestOfTheLoopsThatShare) {
  const auto made = make(CacheType::fp32, CacheSharing::modulo);
  EXPECT_EQ(made->bytes_per_token(), make(CacheType::fp32, {}, 2)->bytes_per_token());
  const Pair first[3] = {step(2), step(2), step(2)}, next[3] = {step(1), step(1), step(1)};
  for (int64_t loop = 0; loop < 3; ++loop) {
    made->append({Section::core, 1, loop}, first[loop].a, first[loop].b);
  }
  made->advance(2);
  const int64_t newest[3] = {2, 1, 2};
  for (int64_t loop = 0; loop < 3; ++loop) {
    const Pair& past = first[newest[loop]];
    const auto seen = made->append({Section::core, 1, loop}, next[loop].a, next[loop].b);
    expect_equal(seen.first, joined(past.a, next[loop].a));
    expect_equal(seen.second, joined(past.b, next[loop].b));
  }
}

// A position that does not run the third loop leaves what its first one did.
TEST_P(CacheOf, ModuloKeepsWhatStoppedPositionsLeft) {
  for (const CacheType type : {CacheType::fp32, CacheType::int8, CacheType::int4}) {
    const auto made = make(type, CacheSharing::modulo), all = make(type, CacheSharing::modulo);
    const Pair first = step(2), third = step(2);
    Tensor runs = at::ones({2, 2}, at::TensorOptions(at::kBool).device(device_));
    runs[0][1].fill_(false);
    const auto before = made->append({Section::core, 0, 0}, first.a, first.b);
    const auto fresh = all->append({Section::core, 0, 0}, third.a, third.b);
    const auto seen = made->append({Section::core, 0, 2}, third.a, third.b, runs);
    const auto expect = [&](const Tensor& got, const Tensor& ran, const Tensor& stopped) {
      if (!got.defined()) return;
      expect_equal(got[0][1], stopped[0][1]);
      expect_equal(got[0][0], ran[0][0]);
      expect_equal(got[1], ran[1]);
    };
    expect(seen.first, fresh.first, before.first);
    expect(seen.second, fresh.second, before.second);
  }
}

// Rows of floats and tensors are two ways into one memory.
TEST_P(CacheOf, RowsAreStoredAsTensorsAre) {
  if (!device_.is_cpu()) GTEST_SKIP() << "rows are computed on the CPU";
  for (const CacheType type :
       {CacheType::fp32, CacheType::bf16, CacheType::int8, CacheType::int4}) {
    const auto by_row = make_cache(config_, 3, 1, 4, device_, at::kFloat, {{}, type, 4, {}});
    const auto by_tensor = make_cache(config_, 3, 1, 4, device_, at::kFloat, {{}, type, 4, {}});
    for (int64_t token = 0; token < 3; ++token) {
      const Pair fresh = step(1);
      for (int64_t i = 0; i < slots(); ++i) {
        const Tensor a = fresh.a.narrow(0, 0, 1).contiguous();
        const Tensor b = mla() ? Tensor() : fresh.b.narrow(0, 0, 1).contiguous();
        by_tensor->append(slot(i), a, b);
        by_row->store(slot(i), token, a.data_ptr<float>(), mla() ? nullptr : b.data_ptr<float>());
      }
      by_row->advance(1);
      by_tensor->advance(1);
    }
    const auto more = steps(1);
    for (int64_t i = 0; i < slots(); ++i) {
      const Tensor a = more[static_cast<size_t>(i)].a.narrow(0, 0, 1);
      const Tensor b = mla() ? Tensor() : more[static_cast<size_t>(i)].b.narrow(0, 0, 1);
      const auto got = by_row->append(slot(i), a, b), want = by_tensor->append(slot(i), a, b);
      expect_equal(got.first, want.first);
      expect_equal(got.second, want.second);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, CacheOf, testing::ValuesIn(on_each_device(std::vector{Attention::mla, Attention::gqa})),
    [](const auto& info) {
      return info.param.device + "_" + std::string(enum_name(info.param.value));
    });

}  // namespace
}  // namespace mythos
