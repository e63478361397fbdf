#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "arch/declaration.h"
#include "arch/section.h"
#include "config/config.h"

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
std::string block_of(const LayerId& layer);

// A block and the tensors in it that are trained, in the order of the forward pass, "" first.
struct ShardedBlock {
  std::string name;
  std::vector<size_t> tensors;  // places in the list that was given
};
std::vector<ShardedBlock> blocks_of(const std::vector<std::string>& tensors);

// The tensors of a block that so many ranks hold (holders_of()), divided among these.
struct BlockPart {
  int64_t ranks = 1;
  ShardLayout layout;  // of places in the list of trained tensors
};
// The blocks of a model's trained tensors, as `ranks` ranks divide them.
struct DividedBlocks {
  std::vector<TensorDeclaration> trained;  // declared_trained()
  std::vector<ShardedBlock> blocks;
  std::vector<std::vector<BlockPart>> parts;  // by block
};
DividedBlocks divided_blocks(const Config& config, int64_t ranks);

// The order in which a backward pass completes the gradients of a model's tensors: of what stands
// behind the core, then of the core, which all loops add to, then of what stands before it. Places
// in the list that was given.
std::vector<size_t> backward_order(const std::vector<std::string>& tensors);

// A collective of a pass of train.layout = fully-sharded: all ranks start these in one order. In
// the forward pass each block is gathered once. The backward pass goes through the blocks from the
// last to the first, sums the gradients of each, and gathers a block again before its turn, which
// it then is when the block after it computes; but those that were kept since the forward pass are
// not gathered again.
struct BlockCall {
  bool gathers = false;  // the block's weights; otherwise sums its gradients
  size_t block = 0;
};
std::vector<BlockCall> block_calls(const std::vector<ShardedBlock>& blocks, const Config& config);

// Whether a pass of a fully sharded run has all weights from its beginning to its end: low-rank
// updates, which are small, change the matrices that it reads.
inline bool gathers_at_once(const TrainConfig& config) {
  return config.tune_rank > 0;
}
// The blocks that a fully sharded pass gathers again for its backward pass. Not "", which is read
// at any time, nor the last one, whose backward pass comes first; nor core and coda where every
// loop's state goes through the coda; nor any where latent thoughts need several forward passes, or
// where the output has no gradient, which tells the end of a block.
std::vector<bool> gathered_again(const std::vector<ShardedBlock>& blocks, const Config& config);

}  // namespace mythos
