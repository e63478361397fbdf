#pragma once
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>

// printf into a string, with typed arguments and a format that is checked when it is compiled. (g++
// 12 has no std::format, and LibTorch bundles a fmt that clashes with the system's.)
namespace mythos {

// The kinds of argument that a conversion prints.
enum class FormatKind : char {
  none,     // an argument that no conversion takes
  integer,  // %d %u %x %X %o, of any width and sign
  real,     // %f %e %g
  text,     // %s: strings, paths, single characters, and bool as "true" or "false"
};

template <class T>
concept FormatPath = requires(const T& path) {
  { path.native() } -> std::same_as<const std::string&>;
};

template <class T>
constexpr FormatKind format_kind =
    std::is_same_v<T, bool> || std::is_same_v<T, char>                   ? FormatKind::text
    : std::is_integral_v<T>                                              ? FormatKind::integer
    : std::is_floating_point_v<T>                                        ? FormatKind::real
    : std::is_convertible_v<const T&, std::string_view> || FormatPath<T> ? FormatKind::text
                                                                         : FormatKind::none;

// One conversion, such as %-*.3f.
struct Conversion {
  static constexpr int kNone = -1, kArgument = -2;  // no width or precision; '*'
  std::string_view flags;                           // of "-+ #0"
  int width = kNone, precision = kNone;
  char letter = 0;
};

// Reads the conversion that begins at `at`, after its '%', and moves `at` behind it.
constexpr Conversion parse_conversion(const char*& at) {
  const auto number = [&at] {
    if (*at == '*') return ++at, Conversion::kArgument;
    int value = 0;
    while (*at >= '0' && *at <= '9') value = 10 * value + (*at++ - '0');
    return value;
  };
  Conversion out;
  const char* const flags = at;
  while (*at != 0 && std::string_view("-+ #0").find(*at) != std::string_view::npos) ++at;
  out.flags = {flags, static_cast<size_t>(at - flags)};
  if (*at == '*' || (*at >= '0' && *at <= '9')) out.width = number();
  if (*at == '.') out.precision = (++at, number());
  if (*at != 0) out.letter = *at++;
  return out;
}

constexpr FormatKind conversion_takes(char letter) {
  switch (letter) {
    case 'd':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
      return FormatKind::integer;
    case 'f':
    case 'e':
    case 'g':
      return FormatKind::real;
    case 's':
      return FormatKind::text;
    default:
      return FormatKind::none;
  }
}

// What is wrong with a format for arguments of these kinds; null if nothing is.
constexpr const char* format_fault(const char* format, const FormatKind* kinds, size_t count) {
  size_t next = 0;
  const auto takes = [&](FormatKind kind) { return next < count && kinds[next++] == kind; };
  for (const char* at = format; *at != 0;) {
    if (*at++ != '%') continue;
    if (*at == '%') {
      ++at;
      continue;
    }
    const Conversion conversion = parse_conversion(at);
    const FormatKind kind = conversion_takes(conversion.letter);
    if (kind == FormatKind::none) return "an unknown conversion";
    for (const int size : {conversion.width, conversion.precision}) {
      if (size == Conversion::kArgument && !takes(FormatKind::integer)) {
        return "no integer for a '*'";
      }
    }
    if (next == count) return "an argument is missing";
    if (!takes(kind)) return "an argument of another type than its conversion";
  }
  return next == count ? nullptr : "more arguments than conversions";
}

// Never defined, so not constant: a Format that calls it does not compile.
void the_format_and_its_arguments_differ(const char* fault);

// A format for arguments of the given kinds.
template <FormatKind... kinds>
class Format {
 public:
  consteval Format(const char* text) : text_(text) {
    constexpr FormatKind all[] = {kinds..., FormatKind::none};
    if (const char* fault = format_fault(text, all, sizeof...(kinds))) {
      the_format_and_its_arguments_differ(fault);
    }
  }
  const char* text() const { return text_; }

 private:
  const char* text_;
};

// An argument: the member of its kind is set.
struct FormatValue {
  unsigned long long integer = 0;
  bool is_signed = false;
  double real = 0;
  std::string_view text;
};

template <class T>
FormatValue format_value(const T& value) {
  FormatValue out;
  if constexpr (std::is_same_v<T, bool>) {
    out.text = value ? "true" : "false";
  } else if constexpr (std::is_same_v<T, char>) {
    out.text = {&value, 1};
  } else if constexpr (std::is_integral_v<T>) {
    out.integer = static_cast<unsigned long long>(value);
    out.is_signed = std::is_signed_v<T>;
  } else if constexpr (std::is_floating_point_v<T>) {
    out.real = static_cast<double>(value);
  } else if constexpr (FormatPath<T>) {
    out.text = value.native();
  } else if constexpr (std::is_pointer_v<T>) {
    out.text = value ? std::string_view(value) : "(null)";
  } else {
    out.text = value;
  }
  return out;
}

std::string format_values(const char* format, const FormatValue* values);

// strprintf("%s: %d of %.1f%%", path, count, percent): printf's conversions d u x X o f e g s with
// flags, widths and precisions, also as '*'. An integer has any width without "ll" or "z", and
// prints its value under d and u whatever its sign.
template <class... Args>
std::string strprintf(Format<format_kind<Args>...> format, const Args&... arguments) {
  const FormatValue values[] = {format_value(arguments)..., {}};
  return format_values(format.text(), values);
}

}  // namespace mythos
