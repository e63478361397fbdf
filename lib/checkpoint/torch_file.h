#pragma once
#include "checkpoint/safetensors.h"

namespace mythos {

// Reads a PyTorch file of weights (base/torch_archive.h) as read_safetensors() reads its own: the
// tensors lie in the file's read-only mapping, some of them perhaps not contiguous, or one within
// another. It has no metadata, and extents tell names, types and shapes alone.
SafetensorsFile read_torch_file(const fs::path& path,
                                const std::function<bool(const std::string&)>& passed_over = {});

// Reads a file of either kind, told by its first bytes.
SafetensorsFile read_tensor_file(const fs::path& path,
                                 const std::function<bool(const std::string&)>& passed_over = {});

}  // namespace mythos
