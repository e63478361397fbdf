#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace mythos {

// A key as visit() declares it; the declaration drives TOML, --set, manifests, --help and
// validation. lo..hi is the allowed range of a number, both ends included.
struct Field {
  std::string_view name;
  std::string_view help;
  double lo = -std::numeric_limits<double>::infinity();
  double hi = std::numeric_limits<double>::infinity();
};

// The names of an enumeration's values in order; specialised beside each enumeration.
template <class E>
struct EnumNames;

template <class E>
constexpr std::string_view enum_name(E value) {
  return EnumNames<E>::names[static_cast<size_t>(value)];
}

}  // namespace mythos
