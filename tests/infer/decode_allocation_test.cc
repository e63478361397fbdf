#include <ATen/ATen.h>
// That a decode step allocates nothing: every allocation of the process goes through this file.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

#include "fixture.h"
#include "infer/engine/decoder.h"

namespace {
std::atomic<int64_t> allocations{0};
}

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* old, size_t size) {
  ++allocations;
  return __libc_realloc(old, size);
}
int posix_memalign(void** out, size_t alignment, size_t size) {
  ++allocations;
  *out = __libc_memalign(alignment, size);
  return *out ? 0 : 12;
}
}

namespace mythos {
namespace {

class DecodeAllocation : public testing::TestWithParam<Attention> {};

TEST_P(DecodeAllocation, AStepAllocatesNothing) {
  const Model model = small_model(GetParam());
  at::set_num_threads(2);
  Decoder decoder(model, {});
  const auto first = decoder.make_cache(3, 48), second = decoder.make_cache(2, 48);
  std::vector<float> logits(2 * 258);
  const auto step = [&](uint32_t id) {
    Decoder::Row rows[2] = {{first.get(), id, 0, logits.data(), 0},
                            {second.get(), id + 1, 0, logits.data() + 258, 0}};
    decoder.step(rows);
  };
  step(1);  // the threads and their buffers
  const int64_t before = allocations;
  EXPECT_GT(before, 0);
  for (uint32_t id = 2; id < 40; ++id) step(id);
  EXPECT_EQ(allocations - before, 0);
}

INSTANTIATE_TEST_SUITE_P(Attention, DecodeAllocation,
                         testing::Values(Attention::gqa, Attention::mla),
                         [](const auto& info) { return std::string(enum_name(info.param)); });

}  // namespace
}  // namespace mythos
