#include "base/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>

namespace mythos {
namespace {

// The one number of a control group's file. Without a number ("max", or no such file) there is no
// limit.
double read_limit(const char* path) {
  std::ifstream file(path);
  double value = 0;
  return file >> value ? value : std::numeric_limits<double>::infinity();
}

// Whether a message of LibTorch means that memory ran out: an allocation failed, or a size
// overflows. oneDNN, which multiplies LibTorch's matrices, says only that it could not go on.
bool is_out_of_memory(std::string_view what) {
  if (what == "could not create a primitive" || what == "could not execute a primitive") {
    return true;
  }
  constexpr std::string_view kWords[] = {"out of memory", "can't allocate memory",
                                         "_STATUS_ALLOC_FAILED",  // cuBLAS's and cuDNN's
                                         "Storage size calculation overflowed",
                                         "integer multiplication overflow"};
  return std::any_of(std::begin(kWords), std::end(kWords),
                     [&](std::string_view words) { return what.find(words) != what.npos; });
}

// Keeps the size from LibTorch's sentence ("... Tried to allocate 2.00 GiB. GPU 0 ...").
std::string memory_message(std::string_view what) {
  const std::string message =
      what.starts_with("CUDA") ? "out of memory of the CUDA device" : "out of memory";
  const size_t at = what.find("ried to allocate ");
  if (at == what.npos) return message;
  const std::string_view rest = what.substr(at + std::string_view("ried to ").size());
  return message + ": cannot " +
         std::string(rest.substr(0, std::min(rest.find(". "), rest.find('\n'))));
}

}  // namespace

double available_memory_bytes() {
  double available = std::numeric_limits<double>::infinity();
  std::ifstream file("/proc/meminfo");
  for (std::string name, unit; file >> name;) {
    double kibibytes = 0;
    if (name == "MemAvailable:" && file >> kibibytes) available = kibibytes * 1024;
    std::getline(file, unit);
  }
  const double limit = read_limit("/sys/fs/cgroup/memory.max");
  const double used = read_limit("/sys/fs/cgroup/memory.current");
  return limit < std::numeric_limits<double>::infinity() ? std::min(available, limit - used)
                                                         : available;
}

std::string memory_fault(const std::exception& error) {
  if (dynamic_cast<const std::length_error*>(&error)) {
    return "out of memory: a size is larger than any memory";
  }
  const std::string what = error.what();
  if (is_out_of_memory(what)) return memory_message(what);
  return dynamic_cast<const std::bad_alloc*>(&error) ? "out of memory" : "";
}

void forget_pages(const void* begin, size_t size_bytes) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto at = reinterpret_cast<uintptr_t>(begin);
  const uintptr_t first = (at + page - 1) / page * page, last = (at + size_bytes) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace mythos
