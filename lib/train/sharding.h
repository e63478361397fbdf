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
#include "model/model.h"
#include "train/trained_tensors.h"

namespace mythos {

class ExpertParallel;

// What a rank holds of a run with train.layout sharded-optimizer (ZeRO stage 1, Rajbhandari et al.
// 2020) or fully-sharded (stage 3, as Zhao et al. 2023 divide it by blocks). Trained tensors are
// divided by blocks (arch/shard_layout.h): each rank updates its pieces alone. With
// train.expert_ranks the experts of a block are divided among the ranks that hold the same ones,
// apart from what all ranks hold.
//   sharded-optimizer  Weights are whole. The last backward pass of a step hands each block's
//                      gradients to a reduce-scatter as soon as it has them all; after the update
//                      the new weights are gathered.
//   fully-sharded      A rank keeps its pieces, and gradients of these. A pass gathers each block
//                      just before it is read, while the one before computes, lets go of it behind
//                      its forward pass and gathers it again for its backward pass, which sums the
//                      block's gradients and drops them and the weights as soon as it has them all.
//                      Copies in the compute type come and go with the block. The memory of the
//                      whole tensors is given back in between; they keep their shapes and must not
//                      be read. arch/shard_layout.h has the order, and what is kept.
// With one rank, or in the layout `replicated`, everything is whole and nothing is sent.
class Sharding final : public BlockWatch {
 public:
  // All but `values` must outlive it; the parameters hold their values until release(), or have no
  // memory: then they get `values`, as fill() does. Without `experts` all ranks hold all tensors.
  Sharding(const Config& config, Parameters& parameters, Ranks& ranks,
           const ExpertParallel* experts = nullptr, Parameters* values = nullptr);
  ~Sharding() override;
  Sharding(const Sharding&) = delete;
  Sharding& operator=(const Sharding&) = delete;

  bool shares_optimizer() const { return layout_ != Layout::replicated; }
  bool shares_weights() const { return layout_ == Layout::fully_sharded; }

  // What this rank's optimizer updates: trained tensors, and pieces of them under the names of
  // slices (checkpoint/slices.h), of one dimension or matrices of a stack.
  const std::vector<TrainedTensor>& own() const { return own_; }

  // Takes what this rank holds of other parameters, which make one tensor after the other and let
  // go of it: pieces of those that are divided, and all of the rest, into `parameters`.
  void fill(Parameters& parameters, Parameters& values);

  // fully-sharded: the parameters whole. gather() fills them from the pieces, allocate() only makes
  // room; take() copies this rank's pieces from those that have memory; release() gives the memory
  // back.
  void gather();
  void allocate();
  void take();
  void release();

  // A step's passes, all of which a rank with fewer of them makes up for in finish_gradients(). The
  // last is announced when its backward pass is to begin.
  void begin_step(size_t passes);
  // Before the weights of a pass are made of parameters, which may have no memory then.
  void begin_pass();
  // These weights are given their values, and let go of them, block by block in this pass.
  void weights_made(const Weights& weights);
  // Instead of begin_pass() and end_pass() around passes without gradient, of which all ranks make
  // equally many.
  void begin_evaluation();
  void end_evaluation();
  // For passes: null where weights are not shared.
  BlockWatch* blocks() { return shares_weights() ? this : nullptr; }
  void begin_forward(const LayerId& block) override;
  void end_forward(const LayerId& block) override;
  void begin_backward(const LayerId& block) override;
  void begin_last_backward();
  void end_pass();
  // Then the tensors of own() have their gradients, summed over ranks.
  void finish_gradients();
  // The norm of the gradients of all ranks, alike on all to the last bit, from that of own().
  Tensor norm(const Tensor& own) const;
  // After the update.
  void finish_update();

  // This rank's part of a checkpoint that all ranks write: its share of tensors that all ranks hold
  // whole, each on one rank, and instead of weights that ranks divide the pieces that it holds,
  // taking the former out of `weights`.
  NamedTensors part_of(const NamedTensors& whole) const;
  NamedTensors take_pieces(NamedTensors& weights) const;
  // The whole shapes of the tensors that lie there in slices.
  TensorShapes sliced(const NamedTensors& part) const;

  // What this rank's optimizer, whose state is `own`, takes from the state in a checkpoint: whole
  // tensors or slices of any ranks. Tensors that none of the ranks has are passed on. Making one
  // reads `stored`, and fails (data) where slices leave numbers out.
  StoredTensors own_state(const TensorMap& stored, const NamedTensors& own,
                          const std::string& origin) const;

 private:
  // A weight of the pass under way that is no alias of its parameter.
  struct Copy {
    size_t parameter = 0;  // its place in the block's list
    TensorDeclaration declaration;
    Tensor weight;
  };
  // A block's tensors that the same ranks hold, divided among these.
  struct Part {
    Ranks* ranks = nullptr;
    std::vector<size_t> tensors;  // places in the block's list
    ShardLayout layout;           // of these places
    Tensor share;                 // [share] fully-sharded: this rank's weights
    Tensor gradient;              // [share] summed over ranks; undefined before the first
    Tensor sent, received;        // of the collective under way
    std::unique_ptr<Pending> gathering, summing;
  };
  struct Block {
    std::string name;
    std::vector<Tensor> parameters;  // whole, or without memory
    std::vector<Copy> copies;
    std::vector<Part> parts;  // one, or that of experts too
    size_t place = 0;         // in blocks_
    bool there = true;        // whether the pass can read the whole weights
    bool again = false;       // gathered again for the backward pass
    size_t missing = 0;       // gradients that this backward pass has yet to complete
    bool summed = false;      // whether the sum over ranks of this pass has been started
    bool is_coming() const { return parts[0].gathering != nullptr; }
  };
  void divide_blocks(const Config& config, const std::vector<TrainedTensor>& trained,
                     const ExpertParallel* experts);
  void add_own(const Part& part, const ShardPiece& piece, const TrainedTensor& held, int64_t first);
  std::vector<ShardPiece> pieces_here(const Part& part) const;
  void copy_own(Tensor& share, const Block& block, const Part& part) const;
  Tensor received_room(const Part& part, int64_t numbers) const;
  Tensor slot(const Tensor& shares, const Part& part, const ShardPiece& piece) const;
  Block* block_at(const LayerId& layer);  // null where nothing in it is trained
  void gather_all();
  void start_gather(Block& block);
  void finish_gather(Block& block);
  void release(Block& block);
  void enter(size_t block);
  void make_there(Block& block);
  void start_call();
  void await_gradients();
  void complete(Block& block);
  void start_reduce(Block& block);
  void finish_reduce(Block& block);
  void finish_backward();
  void drop_gathered();
  void end_of_pass();
  int64_t most(int64_t number);

  const ModelConfig& model_;
  Layout layout_ = Layout::replicated;
  Ranks& ranks_;
  bool gathers_at_once_ = false;
  bool evaluates_ = false;
  // The trained tensors in their order, and the shapes that all ranks together hold, by name.
  std::vector<std::string> trained_;
  std::map<std::string, std::vector<int64_t>> shapes_;
  std::vector<Block> blocks_;
  std::map<std::string, std::pair<size_t, size_t>> places_;  // block and place in it, by name
  std::vector<TrainedTensor> own_;
  std::vector<std::pair<const Part*, ShardPiece>> own_pieces_;  // of own_
  bool collects_ = false;         // whether this backward pass's gradients are summed
  std::vector<BlockCall> calls_;  // of a pass
  size_t next_ = 0;               // calls that have been started
  size_t passes_left_ = 0;
};

}  // namespace mythos
