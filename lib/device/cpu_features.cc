#include "device/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace mythos::cpu {

#if defined(__x86_64__)

bool has_bf16_products() {
  static const bool has = __builtin_cpu_supports("avx512bf16");
  return has;
}

bool has_amx() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> 22 & 1) != 0;
  }();
  return has;
}

#else

bool has_bf16_products() {
  return false;
}
bool has_amx() {
  return false;
}

#endif

}  // namespace mythos::cpu
