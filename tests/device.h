#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "device/device.h"

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

// For what a fixture holds before SetUp() skips: the CPU in place of a device that is not there.
inline at::Device device_or_cpu(const std::string& device) {
  try {
    return resolve_device(device);
  } catch (const Error&) {
    return at::kCPU;
  }
}

// Tests with a parameter beside the device: testing::ValuesIn(on_each_device(values)).
template <class T>
class OnDeviceTest : public testing::TestWithParam<OnDevice<T>> {
 protected:
  void SetUp() override { skip_without(this->GetParam().device); }
  const T& value() const { return this->GetParam().value; }
  const at::Device device_ = device_or_cpu(this->GetParam().device);
};

// Tests that take the device alone: testing::ValuesIn(test_devices()), device_name.
class DeviceTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { skip_without(GetParam()); }
  const at::Device device_ = device_or_cpu(GetParam());
};
inline std::string device_name(const testing::TestParamInfo<std::string>& info) {
  return info.param;
}

}  // namespace mythos
