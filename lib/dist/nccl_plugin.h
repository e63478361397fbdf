#pragma once

// Between dist/c10d_ranks.cc and the shared object with NCCL's process group, which is opened when
// ranks have CUDA devices.
namespace mythos {

struct NcclArguments {
  void* store;  // c10::intrusive_ptr<c10d::Store>*
  int rank, size;
  int device;
  double timeout_seconds;
  void* backend;  // c10::intrusive_ptr<c10d::Backend>*, which is set
};

constexpr const char* kNcclPlugin = "libmythos_nccl.so";
constexpr const char* kNcclEntry = "mythos_make_nccl";
using NcclEntry = void (*)(const NcclArguments*);

}  // namespace mythos
