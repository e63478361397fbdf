#include "device/device.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

#include "../scratch.h"
#include "base/error.h"
#include "device/cuda_error.h"

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

TEST(Device, Fp16IsForCudaDevicesAndForTraining) {
  EXPECT_EQ(resolve_compute_type(ComputeType::fp16, at::kCUDA), at::kHalf);
  EXPECT_EQ(training_compute_type(ComputeType::fp16, at::kCPU), at::kHalf);
  EXPECT_EQ(training_compute_type(ComputeType::fp16, at::kCUDA), at::kHalf);
  const std::string message =
      error_of(ErrorKind::usage, [] { resolve_compute_type(ComputeType::fp16, at::kCPU); });
  EXPECT_NE(message.find("fp16"), std::string::npos) << message;
  EXPECT_NE(message.find("Choose fp32 or bf16"), std::string::npos) << message;
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

// Libraries that load and do nothing here.
constexpr const char* kSomeLibrary = "libm.so.6";

TEST(Device, CudaHalfThatDoesNotLoadIsWarnedOfWithTheReason) {
  testing::internal::CaptureStderr();
  EXPECT_FALSE(open_torch_cuda("libno_driver.so", "libno_torch_cuda.so"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "no driver: nothing to warn of";

  testing::internal::CaptureStderr();
  EXPECT_FALSE(open_torch_cuda(kSomeLibrary, "libno_torch_cuda.so"));
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("warning"), std::string::npos) << said;
  EXPECT_NE(said.find("libno_torch_cuda.so: cannot open shared object file"), std::string::npos)
      << said;

  testing::internal::CaptureStderr();
  EXPECT_TRUE(open_torch_cuda(kSomeLibrary, kSomeLibrary));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

// A variable of the environment, put back at the end.
class Variable {
 public:
  explicit Variable(const char* name) : name_(name) {
    if (const char* value = std::getenv(name)) before_ = value;
    unsetenv(name);
  }
  ~Variable() {
    if (before_)
      set(before_->c_str());
    else
      unsetenv(name_);
  }
  void set(const char* value) const { setenv(name_, value, 1); }
  std::string value() const {
    const char* found = std::getenv(name_);
    return found ? found : "(unset)";
  }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

TEST(Device, MemorySegmentsExpandUnlessTheUserSaysOtherwise) {
  const Variable any("PYTORCH_ALLOC_CONF"), cuda("PYTORCH_CUDA_ALLOC_CONF");
  open_torch_cuda("libno_driver.so", kSomeLibrary);
  EXPECT_EQ(any.value(), "(unset)") << "no driver";
  open_torch_cuda(kSomeLibrary, kSomeLibrary);
  EXPECT_EQ(any.value(), "expandable_segments:True");
  EXPECT_EQ(cuda.value(), "(unset)");
  any.set("max_split_size_mb:64");
  prefer_expandable_segments();
  EXPECT_EQ(any.value(), "max_split_size_mb:64");
  unsetenv("PYTORCH_ALLOC_CONF");
  cuda.set("max_split_size_mb:64");
  prefer_expandable_segments();
  EXPECT_EQ(any.value(), "(unset)");
  EXPECT_EQ(cuda.value(), "max_split_size_mb:64");
}

TEST(Device, NamesAreTheDrivers) {
  EXPECT_EQ(read_cuda_names("libno_driver.so"), std::vector<std::string>());
  EXPECT_EQ(read_cuda_names(kSomeLibrary), std::vector<std::string>());
  EXPECT_EQ(read_cuda_names(MYTHOS_FAKE_CUDA_DRIVER),
            (std::vector<std::string>{"Tesla T4", "NVIDIA H100 80GB HBM3"}));
}

TEST(Device, ArchitecturesAreTheDriversAndBf16NeedsSm80) {
  EXPECT_EQ(read_cuda_architectures("libno_driver.so"), std::vector<int>());
  EXPECT_EQ(read_cuda_architectures(kSomeLibrary), std::vector<int>());
  const std::vector<int> found = read_cuda_architectures(MYTHOS_FAKE_CUDA_DRIVER);
  EXPECT_EQ(found, (std::vector<int>{75, 90}));
  EXPECT_FALSE(has_bf16_cores(at::Device(at::kCUDA, 0), found));
  EXPECT_TRUE(has_bf16_cores(at::Device(at::kCUDA, 1), found));
  EXPECT_FALSE(has_bf16_cores(at::kCUDA, found)) << "without an index: the first";
  EXPECT_TRUE(has_bf16_cores(at::kCUDA, {80}));
  EXPECT_TRUE(has_bf16_cores(at::kCUDA, {})) << "not known";
  EXPECT_FALSE(has_bf16_cores(at::kCPU, found));
}

std::string error_of_cuda(int status) {
  try {
    fail_cuda(status, "mythos_cuda_rope");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::resources);
    return error.what();
  }
}

TEST(Device, CudaErrorsSayWhatToDo) {
  EXPECT_NE(error_of_cuda(209).find("CMAKE_CUDA_ARCHITECTURES"), std::string::npos);
  EXPECT_NE(error_of_cuda(700).find("CUDA_LAUNCH_BLOCKING=1"), std::string::npos);
  EXPECT_NE(error_of_cuda(2).find("smaller batch"), std::string::npos);
  EXPECT_NE(error_of_cuda(1).find("CUDA error 1"), std::string::npos);
  EXPECT_NE(error_of_cuda(1).find("in mythos_cuda_rope"), std::string::npos);
}

// The runtime library that comes with LibTorch needs no device to know its errors.
TEST(Device, CudaErrorsAreToldInItsWords) {
  if (!dlopen("libcudart.so.13", RTLD_NOW | RTLD_GLOBAL)) GTEST_SKIP() << dlerror();
  EXPECT_NE(error_of_cuda(209).find("no kernel image is available"), std::string::npos)
      << error_of_cuda(209);
}

TEST(Device, Tf32IsAModeOfCudaDevices) {
  EXPECT_EQ(resolve_compute_type(ComputeType::tf32, at::kCUDA), at::kFloat);
  EXPECT_TRUE(at::globalContext().allowTF32CuBLAS());
  at::globalContext().setAllowTF32CuBLAS(false);
  EXPECT_THROW(resolve_compute_type(ComputeType::tf32, at::kCPU), Error);
}

}  // namespace
}  // namespace mythos
