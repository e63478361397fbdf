#include "base/print.h"

#include <cstdio>

namespace mythos {

void print_lines(std::string_view lines) {
  const std::string text = shown_lines(lines);
  std::fwrite(text.data(), 1, text.size(), stdout);
}

}  // namespace mythos
