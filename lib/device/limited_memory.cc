#include "device/limited_memory.h"

#include <c10/core/CPUAllocator.h>
#include <malloc.h>
#include <sys/resource.h>

#include <cstdlib>
#include <new>

namespace mythos {
namespace {

// Below M_MMAP_THRESHOLD, so that it is freed memory of the heap where there is enough of that.
constexpr size_t kRoomBytes = 16 << 20;

bool has_room() {
  void* volatile room = std::malloc(kRoomBytes);  // volatile: malloc is to be called
  std::free(room);
  return room != nullptr;
}

class ReservingAllocator : public c10::Allocator {
 public:
  explicit ReservingAllocator(c10::Allocator& base) : base_(base) {}
  c10::DataPtr allocate(size_t bytes) override {
    c10::DataPtr data = base_.allocate(bytes);
    if (!has_room()) throw std::bad_alloc();
    return data;
  }
  c10::DeleterFnPtr raw_deleter() const override { return base_.raw_deleter(); }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    base_.copy_data(to, from, bytes);
  }

 private:
  c10::Allocator& base_;
};

}  // namespace

void reserve_small_memory() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  mallopt(M_TOP_PAD, 1 << 20);  // the heap grows up to the limit
  static auto* const allocator = new ReservingAllocator(*c10::GetCPUAllocator());
  c10::SetCPUAllocator(allocator);
}

}  // namespace mythos
