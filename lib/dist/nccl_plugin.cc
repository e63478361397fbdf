#include "dist/nccl_plugin.h"

#include <chrono>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

// NCCL's process group for one CUDA device.
extern "C" __attribute__((visibility("default"))) void mythos_make_nccl(
    const mythos::NcclArguments* arguments) {
  const auto& store = *static_cast<c10::intrusive_ptr<c10d::Store>*>(arguments->store);
  const auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout =
      std::chrono::milliseconds(static_cast<int64_t>(1000 * arguments->timeout_seconds));
  auto group =
      c10::make_intrusive<c10d::ProcessGroupNCCL>(store, arguments->rank, arguments->size, options);
  group->setBoundDeviceId(at::Device(at::kCUDA, static_cast<int8_t>(arguments->device)));
  *static_cast<c10::intrusive_ptr<c10d::Backend>*>(arguments->backend) = group;
}
