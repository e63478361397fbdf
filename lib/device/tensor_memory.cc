#include "device/tensor_memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

namespace mythos {
namespace {

std::atomic<int64_t> held_bytes = 0, most_bytes = 0;

class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t size_bytes) override {
    const size_t whole = (size_bytes + kHead - 1) / kHead * kHead + kHead;
    char* const memory =
        whole > size_bytes ? static_cast<char*>(std::aligned_alloc(kHead, whole)) : nullptr;
    if (!memory) throw std::bad_alloc();
    std::memcpy(memory, &size_bytes, sizeof size_bytes);
    const int64_t now = held_bytes += static_cast<int64_t>(size_bytes);
    int64_t most = most_bytes;
    while (now > most && !most_bytes.compare_exchange_weak(most, now)) continue;
    char* const block = memory + kHead;
    return {block, block, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t size_bytes) const override {
    default_copy_data(to, from, size_bytes);
  }

 private:
  // Holds the size; as wide as LibTorch aligns.
  static constexpr size_t kHead = 64;

  static void release(void* block) {
    if (!block) return;
    char* const memory = static_cast<char*>(block) - kHead;
    size_t size_bytes = 0;
    std::memcpy(&size_bytes, memory, sizeof size_bytes);
    held_bytes -= static_cast<int64_t>(size_bytes);
    std::free(memory);
  }
};

}  // namespace

void count_tensor_memory() {
  static CountingAllocator counting;
  if (c10::GetCPUAllocator() != &counting) c10::SetCPUAllocator(&counting, /*priority=*/1);
}

int64_t tensor_bytes() {
  return held_bytes;
}

int64_t take_most_tensor_bytes() {
  return most_bytes.exchange(held_bytes);
}

}  // namespace mythos
