#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "arch/declaration.h"
#include "config/train_config.h"

// How tensors are divided among ranks (train.layout). A block of the model is laid out as one
// vector of equal shares, one a rank, so that one all-gather fills it and one reduce-scatter sums
// it. Numbers that an element-wise optimizer updates may be cut anywhere; a matrix of Muon's, whose
// update needs all of it, goes to one rank whole, and the former fill the shares up to one length.
namespace mythos {

// A tensor to be divided: its numbers in their order, in units that stay whole.
struct ShardedTensor {
  std::string name;
  int64_t numel = 0;
  int64_t unit = 1;  // numbers; divides numel
};

// Numbers begin … begin+count-1 of a tensor, which lie in the share of `rank` from `offset` on.
struct ShardPiece {
  size_t tensor = 0;  // its place in the block's list
  int64_t begin = 0, count = 0;
  int64_t rank = 0, offset = 0;
};

struct ShardLayout {
  std::vector<ShardPiece> pieces;
  int64_t share = 0;  // numbers of a rank; what no piece fills is 0
};

// Every number lies in one piece. Units go to the ranks that have least so far, larger ones first.
ShardLayout divide(const std::vector<ShardedTensor>& tensors, int64_t ranks);

// The numbers of a tensor that stay together: a matrix (of a stack, each) that Muon updates,
// else 1.
int64_t shard_unit(const TensorDeclaration& tensor, const TrainConfig& config);

// The blocks that a model's tensors are gathered in, by name: "" for what is not within a layer
// (embedding, head, norms), "prelude.I", "core" for all that loops, "coda.I".
std::string block_of(const std::string& tensor);

// A block and the tensors in it that are trained, in the order of the forward pass.
struct ShardedBlock {
  std::string name;
  std::vector<size_t> tensors;  // places in the list that was given
};
std::vector<ShardedBlock> blocks_of(const std::vector<std::string>& tensors);

}  // namespace mythos
