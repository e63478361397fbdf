#include "kernels/device.h"

#include <ATen/ATen.h>
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
  EXPECT_EQ(resolve_device("cpu"), at::Device(at::kCPU));
  EXPECT_EQ(kind_of("gpu"), ErrorKind::usage);
  EXPECT_EQ(kind_of("cuda:x"), ErrorKind::usage);
  EXPECT_EQ(kind_of("cuda:-1"), ErrorKind::usage);
  EXPECT_EQ(kind_of("cuda:9999"), ErrorKind::resources);
}

TEST(Device, AutomaticComputeTypeFollowsTheDevice) {
  EXPECT_EQ(resolve_compute_type(ComputeType::automatic, at::kCPU), at::kFloat);
  EXPECT_EQ(resolve_compute_type(ComputeType::automatic, at::kCUDA), at::kBFloat16);
  for (const ComputeType type : {ComputeType::fp32, ComputeType::bf16}) {
    EXPECT_EQ(training_compute_type(type, at::kCPU), resolve_compute_type(type, at::kCPU));
  }
  EXPECT_EQ(training_compute_type(ComputeType::automatic, at::kCUDA), at::kBFloat16);
  EXPECT_EQ(resolve_compute_type(ComputeType::bf16, at::kCPU), at::kBFloat16);
}

TEST(Device, TrainingAddsPartsOfProductsInFp32) {
  at::Context& context = at::globalContext();
  context.setAllowBF16ReductionCuBLAS(true);
  context.setAllowFP16ReductionCuBLAS(true);
  training_compute_type(ComputeType::bf16, at::kCUDA);
  const auto expected = at::CuBLASReductionOption::DisallowReducedPrecisionAllowSplitK;
  EXPECT_EQ(context.allowBF16ReductionCuBLAS(), expected);
  EXPECT_EQ(context.allowFP16ReductionCuBLAS(), expected);
}

TEST(Device, DeterministicOperatorsDoNotFillTheirResultsFirst) {
  at::Context& context = at::globalContext();
  use_deterministic_operators();
  EXPECT_TRUE(context.deterministicAlgorithms());
  EXPECT_FALSE(context.deterministicFillUninitializedMemory());
  context.setDeterministicAlgorithms(false, false);
}

TEST(Device, Tf32IsAModeOfCudaDevices) {
  EXPECT_EQ(resolve_compute_type(ComputeType::tf32, at::kCUDA), at::kFloat);
  EXPECT_TRUE(at::globalContext().allowTF32CuBLAS());
  at::globalContext().setAllowTF32CuBLAS(false);
  EXPECT_THROW(resolve_compute_type(ComputeType::tf32, at::kCPU), Error);
}

}  // namespace
}  // namespace mythos
