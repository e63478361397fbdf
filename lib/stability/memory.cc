#include "stability/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace mythos {
namespace {

// The one number of a control file; nothing limits where there is none ("max", no such file).
double read_limit(const char* path) {
  std::ifstream file(path);
  double value = 0;
  return file >> value ? value : std::numeric_limits<double>::infinity();
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

}  // namespace mythos
