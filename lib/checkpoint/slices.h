#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/openmythos.h"
#include "checkpoint/safetensors.h"
#include "model/weights.h"

// Slices of tensors in checkpoints that many ranks write: "NAME@BEGIN" holds numbers BEGIN … of
// tensor NAME in their order, as many as it has, in any shape. The metadata of its file have the
// whole tensor's shape under "shape:NAME" (mythos-checkpoint(5)).
namespace mythos {

std::string slice_name(const std::string& tensor, int64_t begin);
// The tensor's own name; that of a whole tensor is its own.
std::string whole_name(const std::string& name);
// BEGIN; nothing for a whole tensor.
std::optional<int64_t> slice_begin(const std::string& name);

using TensorShapes = std::map<std::string, std::vector<int64_t>>;
std::map<std::string, std::string> to_metadata(const TensorShapes& shapes);
// Adds the shapes that a file's metadata tell. Fails (data), naming the origin, at a malformed one.
void read_shapes(const std::map<std::string, std::string>& metadata, TensorShapes& shapes,
                 const std::string& origin);

// Whether a tensor is stored, whole or in slices.
bool has_numbers(const TensorMap& stored, const std::string& tensor);
// Numbers begin … begin+count-1 of a tensor that is stored whole or in slices, [count]: a view
// where one stored tensor has them all. Undefined where the name is not stored. Fails (data) where
// slices leave some out.
at::Tensor stored_numbers(const TensorMap& stored, const std::string& tensor, int64_t begin,
                          int64_t count, const std::string& origin);

// Whole tensors of these shapes, each joined of its slices when it is made; whole ones stay as they
// are. Fails (data) where slices overlap, have no shape or other than its numbers in all, and, when
// a tensor is made, where they leave numbers out.
StoredTensors joined(const TensorMap& stored, const TensorShapes& shapes,
                     const std::string& origin);

}  // namespace mythos
