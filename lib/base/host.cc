#include "base/host.h"

#include <limits.h>
#include <unistd.h>

namespace mythos {

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, HOST_NAME_MAX) == 0 && name[0] != '\0' ? name : "localhost";
}

}  // namespace mythos
