#include "base/format.h"

#include <algorithm>
#include <cstdio>

namespace mythos {
namespace {

// A number through printf itself: `letters` are its length and its letter.
template <class T>
void append_number(std::string& out, const Conversion& conversion, std::string_view letters,
                   T value) {
  // A width of 0 pads nothing; a negative precision is none.
  const std::string format = "%" + std::string(conversion.flags) + "*.*" + std::string(letters);
  const int width = std::max(conversion.width, 0);
  const int size = std::snprintf(nullptr, 0, format.c_str(), width, conversion.precision, value);
  const size_t begin = out.size();
  out.resize(begin + static_cast<size_t>(size) + 1);
  std::snprintf(out.data() + begin, out.size() - begin, format.c_str(), width, conversion.precision,
                value);
  out.pop_back();
}

void append_integer(std::string& out, const Conversion& conversion, const FormatValue& value) {
  const bool is_decimal = conversion.letter == 'd' || conversion.letter == 'u';
  if (is_decimal && value.is_signed) {
    append_number(out, conversion, "lld", static_cast<long long>(value.integer));
  } else {
    const char letter = is_decimal ? 'u' : conversion.letter;
    append_number(out, conversion, std::string("ll") + letter, value.integer);
  }
}

void append_text(std::string& out, const Conversion& conversion, std::string_view text) {
  if (conversion.precision >= 0) text = text.substr(0, static_cast<size_t>(conversion.precision));
  const size_t width = static_cast<size_t>(std::max(conversion.width, 0));
  const size_t padding = width - std::min(width, text.size());
  const bool is_left = conversion.flags.find('-') != std::string_view::npos;
  if (!is_left) out.append(padding, ' ');
  out += text;
  if (is_left) out.append(padding, ' ');
}

}  // namespace

std::string format_values(const char* format, const FormatValue* values) {
  std::string out;
  while (*format != 0) {
    const char* const begin = format;
    while (*format != 0 && *format != '%') ++format;
    out.append(begin, format);
    if (*format == 0) break;
    if (*++format == '%') {
      out += *format++;
      continue;
    }
    Conversion conversion = parse_conversion(format);
    for (int* const size : {&conversion.width, &conversion.precision}) {
      if (*size == Conversion::kArgument) *size = static_cast<int>((values++)->integer);
    }
    switch (conversion_takes(conversion.letter)) {
      case FormatKind::integer:
        append_integer(out, conversion, *values++);
        break;
      case FormatKind::real:
        append_number(out, conversion, {&conversion.letter, 1}, (values++)->real);
        break;
      case FormatKind::text:
        append_text(out, conversion, (values++)->text);
        break;
      case FormatKind::none:
        break;  // refused when the format was compiled
    }
  }
  return out;
}

}  // namespace mythos
