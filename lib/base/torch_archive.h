#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/files.h"

// PyTorch's files of weights (torch.save since PyTorch 1.6): zip archives of a pickle, data.pkl,
// and one member for each storage. The pickle is read by an interpreter of the few opcodes that
// tensors need (protocol 2); nothing in it is executed.
namespace mythos {

enum class TorchType { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean, c64, c128 };
uint64_t element_bytes(TorchType type);

// A tensor in an archive. Element (i, j, …) lies at byte begin + (i·strides[0] + j·strides[1] + …)
// times its size; several tensors may share bytes.
struct TorchTensor {
  std::string name;
  TorchType type = TorchType::f32;
  std::vector<int64_t> shape, strides;  // strides in elements
  uint64_t begin = 0;                   // byte of the first element in the file
};

// Whether a file begins as a zip archive does, or as PyTorch's older files do.
bool is_torch_archive(std::string_view start);

// The tensors of a dictionary of tensors (a "state dict"), in its order. Where the file is a
// training program's dictionary without tensors of its own, they are those of its member "model",
// "state_dict" or "model_state_dict". Entries that are no tensors are passed over. Fails (data) on
// a damaged archive, on an opcode or a global that tensors do not need (by name and byte), and when
// a tensor reaches outside its storage or there is none. `file` must outlive nothing of the result.
std::vector<TorchTensor> read_torch_archive(const MappedFile& file);

}  // namespace mythos
