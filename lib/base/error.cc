#include "base/error.h"

#include "base/strings.h"

namespace mythos {

Error::Error(ErrorKind kind, std::string_view message, std::string_view advice)
    : std::runtime_error(shown(message) + (advice.empty() ? "" : "\n" + shown(advice))),
      kind_(kind),
      message_(shown(message)),
      advice_(shown(advice)) {}

}  // namespace mythos
