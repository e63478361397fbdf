// Linked into every test program over LibTorch. LibTorch decides once in a process whether there is
// a CUDA device, at the latest when a first backward pass runs: its CUDA half must be open by then,
// or the tests of a CUDA device that come later find none. So the device is resolved before any
// test, as the verbs do. With MYTHOS_TEST_CUDA=1 a device that is missing fails the program, where
// its tests would skip themselves.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>

#include "device/device.h"

namespace mythos {
namespace {

class DeviceEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    const at::Device device = resolve_device("auto");
    const char* wanted = std::getenv("MYTHOS_TEST_CUDA");
    if (wanted && std::string_view(wanted) == "1" && !device.is_cuda()) {
      FAIL() << "MYTHOS_TEST_CUDA=1, and this machine offers no CUDA device";
    }
  }
};

[[maybe_unused]] const testing::Environment* const device_environment =
    testing::AddGlobalTestEnvironment(new DeviceEnvironment);

}  // namespace
}  // namespace mythos
