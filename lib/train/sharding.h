#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "arch/shard_layout.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/slices.h"
#include "config/config.h"
#include "dist/ranks.h"
#include "model/weights.h"
#include "train/trained_tensors.h"

namespace mythos {

// What a rank holds of a run with train.layout sharded-optimizer (ZeRO stage 1, Rajbhandari et al.
// 2020) or fully-sharded (stage 3, as Zhao et al. 2023 divide it by blocks). Trained tensors are
// divided by blocks (arch/shard_layout.h): each rank updates its pieces alone.
//   sharded-optimizer  Weights are whole. The last backward pass of a step hands each block's
//                      gradients to a reduce-scatter as soon as it has them all; after the update
//                      the new weights are gathered.
//   fully-sharded      A rank keeps its pieces, and gradients of these. A pass gathers all blocks,
//                      each while the one before is put in its place, and lets go of them at its
//                      end; its backward pass sums a block's gradients and drops them as soon as it
//                      has them all. The memory of the whole tensors is given back in between; they
//                      keep their shapes and must not be read.
// With one rank, or in the layout `replicated`, everything is whole and nothing is sent.
class Sharding {
 public:
  // Both must outlive it; the parameters hold their values, and do so until release().
  Sharding(const Config& config, Parameters& parameters, Ranks& ranks);
  ~Sharding();
  Sharding(const Sharding&) = delete;
  Sharding& operator=(const Sharding&) = delete;

  bool shares_optimizer() const { return layout_ != Layout::replicated; }
  bool shares_weights() const { return layout_ == Layout::fully_sharded; }

  // What this rank's optimizer updates: trained tensors, and pieces of them under the names of
  // slices (checkpoint/slices.h), of one dimension or matrices of a stack.
  const std::vector<TrainedTensor>& own() const { return own_; }

  // fully-sharded: the parameters whole. gather() fills them from the pieces, allocate() only makes
  // room; take() copies this rank's pieces from them; release() gives the memory back.
  void gather();
  void allocate();
  void take();
  void release();

  // A step's passes, all of which a rank with fewer of them makes up for in finish_gradients(). The
  // last is announced when its backward pass is to begin.
  void begin_step(size_t passes);
  void begin_pass();
  // Lets go of what computing in this type has made copies of.
  void weights_made(at::ScalarType compute_type);
  void begin_last_backward();
  void end_pass();
  // Then the tensors of own() have their gradients, summed over ranks.
  void finish_gradients();
  // The norm of the gradients of all ranks, alike on all to the last bit, from that of own().
  Tensor norm(const Tensor& own) const;
  // After the update.
  void finish_update();

  // This rank's part of a checkpoint that all ranks write: its share of tensors that all ranks hold
  // whole, each on one rank, and what it holds of the weights.
  NamedTensors part_of(const NamedTensors& whole) const;
  NamedTensors own_weights(const Parameters& parameters) const;
  // The whole shapes of the tensors that lie there in slices.
  TensorShapes sliced(const NamedTensors& part) const;

  // What this rank's optimizer, whose state is `own`, takes from the state in a checkpoint: whole
  // tensors or slices of any ranks. Tensors that none of the ranks has are passed on. Fails (data)
  // where slices leave numbers out.
  TensorMap own_state(const TensorMap& stored, const NamedTensors& own,
                      const std::string& origin) const;

 private:
  struct Block {
    std::vector<Tensor> parameters;  // whole, or without memory
    std::vector<bool> copied;        // of each: whether other types than fp32 compute with a copy
    ShardLayout layout;
    Tensor share;           // [share] fully-sharded: this rank's weights
    Tensor gradient;        // [share] summed over ranks; undefined before the first
    size_t missing = 0;     // gradients that this backward pass has yet to complete
    Tensor sent, received;  // of the collective under way
    std::unique_ptr<Pending> pending;
  };
  void divide_blocks(const Config& config, const std::vector<TrainedTensor>& trained);
  void add_own(const Block& block, const ShardPiece& piece, const TrainedTensor& whole);
  Tensor slot(const Tensor& shares, const Block& block, const ShardPiece& piece) const;
  void start_gather(Block& block);
  void finish_gather(Block& block);
  void await_gradients();
  void complete(Block& block);
  void start_reduce(Block& block);
  void finish_reduce(Block& block);
  void finish_backward();
  int64_t most(int64_t number);

  Layout layout_ = Layout::replicated;
  Ranks& ranks_;
  // The trained tensors in their order, by name.
  std::vector<std::string> trained_;
  std::map<std::string, std::vector<int64_t>> shapes_;
  std::vector<Block> blocks_;
  std::vector<TrainedTensor> own_;
  std::vector<std::pair<size_t, ShardPiece>> own_pieces_;  // block and piece of own_
  bool collects_ = false;  // whether this backward pass's gradients are summed
  size_t next_ = 0;        // blocks whose sums have been started, from the last
  size_t passes_left_ = 0;
};

}  // namespace mythos
