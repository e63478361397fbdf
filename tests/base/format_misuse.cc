// A source that must not compile: the format asks for text, and the argument is a number.
#include "base/format.h"

int main() {
  return static_cast<int>(mythos::strprintf("%s", 1).size());
}
