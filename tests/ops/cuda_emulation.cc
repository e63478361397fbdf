#include "cuda_emulation.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>

#include "base/strings.h"
#include "device/cuda_library.h"

dim3 threadIdx, blockIdx, gridDim;

// What the sanitizers' runtime offers where the program is linked with it.
extern "C" {
[[gnu::weak]] void __asan_poison_memory_region(const volatile void* begin, size_t bytes);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void* begin, size_t bytes);
[[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());

// LibTorch is not instrumented: its leaks and its pairs of malloc and delete are not of interest.
// Fresh memory is all ones, a NaN of every floating type: what no kernel wrote shows in a result.
const char* __asan_default_options() {
  return "detect_leaks=0:alloc_dealloc_mismatch=0:malloc_fill_byte=255:"
         "max_malloc_fill_size=2147483648:quarantine_size_mb=64";
}
const char* __ubsan_default_options() {
  return "print_stacktrace=1";
}
}

namespace emulation {
namespace {

using mythos::strprintf;

constexpr size_t kStackBytes = 128 << 10;
constexpr size_t kWarp = 32;
constexpr uint32_t kPoison = 0x7fc17fc1;

// What __builtin_setjmp keeps. Unlike swapcontext() it makes no system call.
struct Place {
  void* at[5];
};

struct Fiber {
  explicit Fiber(size_t thread) : thread(thread) {}
  const size_t thread;
  Place place;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
};

struct Barrier {
  std::vector<size_t> waiting;  // threads
  SourceLine where = {"", 0};   // of the first of them
};

struct Warp {
  std::vector<size_t> ready;  // threads that can go on
  Barrier barrier;
  size_t lanes = kWarp;
  int turn = 0;  // which half of `passed` the next exchange takes
};

struct SharedVariable {
  const void* id;
  std::byte* begin;
  size_t bytes;
};

std::vector<std::unique_ptr<Fiber>> fibers;
std::vector<Warp> warps;
std::vector<uint32_t> passed[2];  // by the lanes of all warps
Barrier block_barrier;
Place scheduler;
const std::function<void()>* kernel = nullptr;
size_t current = 0;                     // the thread whose turn it is
size_t block_threads = 0, running = 0;  // of the block; those that have not ended
int status = 0;                         // of the launch

alignas(128) std::byte memory[2 * kSharedBytes];  // the block's shared memory, with gaps
unsigned dynamic_bytes = 0, static_bytes = 0;
size_t memory_used = 0;
std::vector<SharedVariable> variables;

std::optional<dim3> only_block;
std::vector<std::string> faults;
std::mt19937 generator;

size_t draw(size_t below) {
  return generator() % below;
}

std::string position() {
  return strprintf("block (%u, %u, %u), thread %u", blockIdx.x, blockIdx.y, blockIdx.z, current);
}
std::string in_words(SourceLine where) {
  const std::string path = where.file;
  return strprintf("%s:%u", path.substr(path.rfind('/') + 1), where.line);
}

[[gnu::noipa]] void jump(Place& to) {
  __builtin_longjmp(to.at, 1);
}
[[gnu::noipa]] void change(Place& from, Place& to) {
  if (__builtin_setjmp(from.at) == 0) jump(to);
}
[[gnu::noipa]] void enter(Place& from, const ucontext_t& to) {
  if (__builtin_setjmp(from.at) == 0) setcontext(&to);
}

int note_fault(int number, const std::string& what) {
  faults.push_back(what);
  status = number;
  return number;
}
// Ends the launch. The fiber is never resumed.
[[noreturn]] void fault(int number, const std::string& what) {
  note_fault(number, what + ": " + position());
  jump(scheduler);
  std::abort();
}

void run_fiber() {
  const size_t thread = current;
  for (;;) {
    change(fibers[thread]->place, scheduler);  // until a block has work for it
    (*kernel)();
    --running;
  }
}

void make_fibers(size_t threads) {
  while (fibers.size() < threads) {
    current = fibers.size();
    fibers.push_back(std::make_unique<Fiber>(current));
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fibers.back()->stack.get();
    context.uc_stack.ss_size = kStackBytes;
    context.uc_link = nullptr;
    makecontext(&context, run_fiber, 0);
    enter(scheduler, context);
  }
}

void wait_at(Barrier& barrier, size_t threads, SourceLine where) {
  if (barrier.waiting.empty()) barrier.where = where;
  if (where.line != barrier.where.line || std::string_view(where.file) != barrier.where.file) {
    fault(kLaunchFailure, strprintf("threads wait for each other at %s and at %s",
                                    in_words(barrier.where), in_words(where)));
  }
  barrier.waiting.push_back(current);
  if (barrier.waiting.size() == threads) {
    for (const size_t thread : barrier.waiting) warps[thread / kWarp].ready.push_back(thread);
    barrier.waiting.clear();
  }
  change(fibers[current]->place, scheduler);
}

// Whole numbers: the gap after the bytes has room for the last of them.
void poison(std::byte* begin, size_t bytes) {
  std::fill_n(reinterpret_cast<uint32_t*>(begin), (bytes + 3) / 4, kPoison);
}
// The next `bytes` of shared memory, with what follows out of bounds.
std::byte* take_memory(size_t bytes) {
  std::byte* begin = memory + memory_used;
  memory_used += (bytes + 15) / 16 * 16 + 16;
  if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(begin, bytes);
  poison(begin, bytes);
  return begin;
}
void clear_memory() {
  memory_used = static_bytes = dynamic_bytes = 0;
  variables.clear();
  if (__asan_poison_memory_region) __asan_poison_memory_region(memory, sizeof memory);
}

void report_deadlock() {
  const auto left = [&](const Barrier& barrier, size_t threads, const char* what) {
    if (barrier.waiting.empty()) return;
    current = barrier.waiting[0];
    note_fault(kLaunchFailure,
               strprintf("a %s that %u of %u threads reach, at %s: %s", what,
                         barrier.waiting.size(), threads, in_words(barrier.where), position()));
  };
  left(block_barrier, block_threads, "barrier");
  for (const Warp& warp : warps) left(warp.barrier, warp.lanes, "shuffle");
}

// Half of the blocks mix their warps at random, the others let one run as far ahead as it can.
void run_block() {
  for (size_t t = 0; t < block_threads; ++t) warps[t / kWarp].ready.push_back(t);
  std::vector<Warp*> order;
  for (Warp& warp : warps) order.push_back(&warp);
  std::shuffle(order.begin(), order.end(), generator);
  const bool mixed = draw(2) == 0;
  running = block_threads;
  while (status == 0) {
    const size_t first = mixed ? draw(order.size()) : 0;
    Warp* next = nullptr;
    for (size_t i = 0; i < order.size() && !next; ++i) {
      Warp* warp = order[(first + i) % order.size()];
      if (!warp->ready.empty()) next = warp;
    }
    if (!next) break;
    std::swap(next->ready[draw(next->ready.size())], next->ready.back());
    current = next->ready.back();
    next->ready.pop_back();
    threadIdx.x = static_cast<unsigned>(current);
    change(scheduler, fibers[current]->place);
  }
  if (status == 0 && running > 0) report_deadlock();
}

std::vector<dim3> blocks_to_run() {
  if (only_block) return {*only_block};
  std::vector<dim3> order;
  for (unsigned z = 0; z < gridDim.z; ++z) {
    for (unsigned y = 0; y < gridDim.y; ++y) {
      for (unsigned x = 0; x < gridDim.x; ++x) order.emplace_back(x, y, z);
    }
  }
  std::shuffle(order.begin(), order.end(), generator);
  return order;
}

int check_limits(dim3 blocks, int threads, unsigned shared_bytes) {
  const std::string grid = strprintf("a grid of (%u, %u, %u) blocks of %d threads", blocks.x,
                                     blocks.y, blocks.z, threads);
  const bool any = blocks.x > 0 && blocks.y > 0 && blocks.z > 0 && threads > 0;
  if (!any || blocks.x > 0x7fffffff || blocks.y > 65535 || blocks.z > 65535 || threads > 1024) {
    return note_fault(kInvalidConfiguration, grid);
  }
  if (shared_bytes > kSharedBytes) {
    return note_fault(kInvalidValue, strprintf("%u bytes of dynamic shared memory", shared_bytes));
  }
  return 0;
}

uint64_t first_seed() {
  const char* text = std::getenv("MYTHOS_EMULATION_SEED");
  if (!text) return std::random_device()();
  const auto number = mythos::parse_int(text);
  if (!number) {
    std::fprintf(stderr, "MYTHOS_EMULATION_SEED is no number\n");
    std::exit(2);
  }
  return static_cast<uint64_t>(*number);
}
const uint64_t process_seed = first_seed();

std::string seed_in_words() {
  return strprintf("The emulation's order: MYTHOS_EMULATION_SEED=%u", process_seed);
}

class Listener : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override { set_seed(process_seed); }
  void OnTestEnd(const testing::TestInfo& test) override {
    for (const std::string& what : take_faults()) ADD_FAILURE() << "CUDA emulation: " << what;
    if (test.result()->Failed()) std::fprintf(stderr, "%s\n", seed_in_words().c_str());
  }
};

const bool listening = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new Listener);
  if (__sanitizer_set_death_callback) {
    __sanitizer_set_death_callback(
        [] { std::fprintf(stderr, "%s; %s\n", seed_in_words().c_str(), position().c_str()); });
  }
  return true;
}();

}  // namespace

void set_seed(uint64_t seed) {
  generator.seed(static_cast<std::mt19937::result_type>(seed));
}

void run_only(std::optional<dim3> block) {
  only_block = block;
}

std::vector<std::string> take_faults() {
  return std::exchange(faults, {});
}

float* dynamic_shared() {
  return reinterpret_cast<float*>(memory);
}

void* shared_variable(const void* id, size_t bytes) {
  for (const SharedVariable& variable : variables) {
    if (variable.id == id) return variable.begin;
  }
  static_bytes += static_cast<unsigned>((bytes + 15) / 16 * 16);
  if (static_bytes + dynamic_bytes > kSharedBytes) {
    fault(kInvalidValue, strprintf("%u bytes of static and %u of dynamic shared memory",
                                   static_bytes, dynamic_bytes));
  }
  variables.push_back({id, take_memory(bytes), bytes});
  return variables.back().begin;
}

void check_aligned(const void* address, size_t alignment) {
  if (reinterpret_cast<uintptr_t>(address) % alignment != 0) {
    fault(kMisalignedAddress, strprintf("an access to %#x, no multiple of %u",
                                        reinterpret_cast<uintptr_t>(address), alignment));
  }
}

int launch(const std::function<void()>& body, dim3 blocks, int threads, unsigned shared_bytes) {
  status = 0;
  if (check_limits(blocks, threads, shared_bytes) != 0) return status;
  block_threads = static_cast<size_t>(threads);
  kernel = &body;
  gridDim = blocks;
  clear_memory();
  dynamic_bytes = shared_bytes;
  take_memory(shared_bytes);
  make_fibers(block_threads);
  warps.assign((block_threads + kWarp - 1) / kWarp, {});
  warps.back().lanes = block_threads - (warps.size() - 1) * kWarp;
  block_barrier = {};
  for (auto& half : passed) half.resize(block_threads);

  for (const dim3& block : blocks_to_run()) {
    blockIdx = block;
    poison(memory, shared_bytes);
    for (const SharedVariable& variable : variables) poison(variable.begin, variable.bytes);
    run_block();
    if (status != 0) break;
  }
  if (status != 0) fibers.clear();  // some stand in the middle of the kernel
  return status;
}

uint32_t exchange(unsigned mask, uint32_t value, int from, SourceLine where) {
  Warp& warp = warps[current / kWarp];
  if (mask != 0xffffffffu || from < 0 || static_cast<size_t>(from) >= warp.lanes) {
    fault(kLaunchFailure,
          strprintf("a shuffle with mask %#x from lane %d at %s", mask, from, in_words(where)));
  }
  // A lane cannot be two exchanges ahead of another, so two halves do.
  const int turn = warp.turn;
  passed[turn][current] = value;
  if (warp.barrier.waiting.size() + 1 == warp.lanes) warp.turn = 1 - turn;
  wait_at(warp.barrier, warp.lanes, where);
  return passed[turn][current / kWarp * kWarp + static_cast<size_t>(from)];
}

}  // namespace emulation

void __syncthreads(const char* file, unsigned line) {
  using namespace emulation;
  wait_at(block_barrier, block_threads, {file, line});
}

// In place of lib/device/cuda_library.cc: every operator goes through the CUDA kernels, which are
// found in this program and work on tensors of the CPU.
namespace mythos {

void* cuda_kernel(const char* name) {
  return dlsym(RTLD_DEFAULT, name);
}

void* cuda_stream(at::Device) {
  return nullptr;
}

Backend backend_of(const at::Tensor&) {
  return Backend::cuda;
}

}  // namespace mythos
