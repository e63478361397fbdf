#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "kernels/device.h"

namespace mythos {

// The devices that a test of tensors is repeated on; its name takes the device's.
inline std::vector<std::string> test_devices() {
  return {"cpu", "cuda"};
}

// For SetUp(): leaves the test out, with the reason, where this machine lacks the device. With
// MYTHOS_TEST_CUDA=1 in the environment that is a failure.
inline void skip_without(const std::string& device) {
  try {
    resolve_device(device);
  } catch (const Error& error) {
    const char* wanted = std::getenv("MYTHOS_TEST_CUDA");
    if (wanted && std::string_view(wanted) == "1") FAIL() << error.what();
    GTEST_SKIP() << error.what();
  }
}

// A parameter of a test together with the device that it runs on.
template <class T>
struct OnDevice {
  std::string device;
  T value;
};

template <class T>
std::vector<OnDevice<T>> on_each_device(const std::vector<T>& values) {
  std::vector<OnDevice<T>> out;
  for (const std::string& device : test_devices()) {
    for (const T& value : values) out.push_back({device, value});
  }
  return out;
}

// Tests that take the device alone: INSTANTIATE_TEST_SUITE_P(Devices, …,
// testing::ValuesIn(test_devices()), device_name).
class DeviceTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { skip_without(GetParam()); }
  at::Device device() const { return resolve_device(GetParam()); }
};
inline std::string device_name(const testing::TestParamInfo<std::string>& info) {
  return info.param;
}

}  // namespace mythos
