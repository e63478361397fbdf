#include "kernels/device.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace mythos {
namespace {

ErrorKind kind_of(const std::string& device) {
  try {
    resolve_device(device);
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::internal;
}

TEST(Device, NamesAreChecked) {
  EXPECT_EQ(resolve_device("cpu"), torch::Device(torch::kCPU));
  EXPECT_EQ(kind_of("gpu"), ErrorKind::usage);
  EXPECT_EQ(kind_of("cuda:x"), ErrorKind::usage);
  EXPECT_EQ(kind_of("cuda:-1"), ErrorKind::usage);
  EXPECT_EQ(kind_of("cuda:9999"), ErrorKind::resources);
}

TEST(Device, AutomaticComputeTypeFollowsTheDevice) {
  EXPECT_EQ(resolve_compute_type(ComputeType::automatic, torch::kCPU), torch::kFloat32);
  EXPECT_EQ(resolve_compute_type(ComputeType::automatic, torch::kCUDA), torch::kBFloat16);
  for (const ComputeType type : {ComputeType::fp32, ComputeType::bf16}) {
    EXPECT_EQ(training_compute_type(type, torch::kCPU), resolve_compute_type(type, torch::kCPU));
  }
  EXPECT_EQ(training_compute_type(ComputeType::automatic, torch::kCUDA), torch::kBFloat16);
  EXPECT_EQ(resolve_compute_type(ComputeType::bf16, torch::kCPU), torch::kBFloat16);
}

TEST(Device, Tf32IsAModeOfCudaDevices) {
  EXPECT_EQ(resolve_compute_type(ComputeType::tf32, torch::kCUDA), torch::kFloat32);
  EXPECT_TRUE(at::globalContext().allowTF32CuBLAS());
  at::globalContext().setAllowTF32CuBLAS(false);
  EXPECT_THROW(resolve_compute_type(ComputeType::tf32, torch::kCPU), Error);
}

}  // namespace
}  // namespace mythos
