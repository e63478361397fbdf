#include <algorithm>

#include "arch/expert_share.h"
#include "arch/plan.h"
#include "arch/shard_layout.h"
#include "arch/tensors.h"
#include "base/whole.h"

// What the operators of lib/ops and lib/model keep for their backward passes, added up: the parts'
// own costs stand beside their tensors. Sizes are bytes of one token where nothing else is said;
// `c_` is that of a number in the compute type.
namespace mythos {
namespace {

// Formed at a time on a CPU (rows_at_a_time() of ops/loss/linear_cross_entropy.h).
constexpr int64_t kLogits = 1 << 24;
constexpr int64_t kOneDnnNumbers = 1 << 19;  // of the largest such sum (ops/linear/linear.cc)

// A part of the forward pass, in bytes of the whole micro-batch.
struct Piece {
  Whole kept;           // until its backward pass is done
  Whole work = 0;       // that its backward pass holds beside that
  Whole gradients = 0;  // of its weights, which that leaves
  size_t block = 0;     // of its weights, by its place in blocks_of() of all tensors
};

class StepMemory {
 public:
  StepMemory(const ModelConfig& config, const StepShape& shape);

  // The most that is held at once beside weights and optimizer state, less all gradients unless
  // those of earlier micro-batches are there already.
  Whole beside_gradients() const;
  // The backward pass, by a walk through the pieces from the last to the first.
  template <class Walk>
  void take(Walk& walk) const;

 private:
  bool narrow() const { return c_ < kFloatBytes; }
  Whole state() const { return D_ * kFloatBytes; }
  Whole gradient_bytes(const TensorDeclaration& tensor) const;
  bool recomputes(Recompute what) const { return shape_.recompute == what; }

  Whole loop_kept() const;  // beside the layers
  Whole loop_work() const;

  size_t block_place(const LayerId& id) const;
  Piece embedding() const;
  Piece layer(const LayerId& id) const;
  Piece input() const;
  std::vector<Piece> loop() const;
  Piece examined() const;
  Piece read_out() const;
  Piece loss() const;

  const ModelConfig& m_;
  const StepShape& shape_;
  const int64_t loops_;
  const int64_t c_;
  const Whole tokens_, D_;
  const InjectionMemory injection_;
  const HaltingMemory halting_;
  ModelTensors<Whole, Whole> gradients_;  // of each tensor, in bytes
  Whole all_gradients_ = 0;
};

StepMemory::StepMemory(const ModelConfig& config, const StepShape& shape)
    : m_(config),
      shape_(shape),
      loops_(shape.loops > 0 ? shape.loops : config.max_loop_iters),
      c_(shape.bytes_per_number),
      tokens_(Whole(shape.batch_size) * shape.seq_len),
      D_(config.dim),
      injection_(injection_memory(config, c_)),
      halting_(halting_memory(config, c_)) {
  ModelTensors<Whole, Whole>::visit(gradients_, config,
                                    [&](Whole& gradient, const TensorDeclaration& tensor) {
                                      gradient = gradient_bytes(tensor);
                                      all_gradients_ += gradient;
                                    });
}

Whole StepMemory::gradient_bytes(const TensorDeclaration& tensor) const {
  if (!is_trained(tensor.use)) return 0;
  return Whole(tensor.numel() / (is_of_experts(tensor) ? shape_.expert_ranks : 1)) * kFloatBytes;
}

// The layer's input, which its first norm keeps, and its two halves; when attention's turn comes in
// the backward pass, the feed-forward has let go of its own.
Piece StepMemory::layer(const LayerId& id) const {
  const FeedForward ffn = feed_forward_of(m_, id.section);
  const Whole input = D_ * c_, ffn_kept = feed_forward_kept(m_, id.section, c_);
  const Whole padding = ffn == FeedForward::moe ? expert_padding(m_, tokens_, c_) : Whole(0);
  // Norms behind the sublayers keep what they normalise and a number each.
  const bool out_norms = m_.norm_placement != NormPlacement::pre;
  const Whole norms = out_norms ? 2 * (input + kFloatBytes) : Whole(0);
  const Whole kept = tokens_ * (input + attention_kept(m_, id, c_) + ffn_kept + norms) + padding;
  const Whole work = tokens_ * std::max(feed_forward_work(m_, id.section, c_),
                                        attention_work(m_, id, c_) - ffn_kept);
  Whole gradients = 0;
  for (const TensorDeclaration& tensor : declarations_of<LayerTensors>(m_, id)) {
    gradients += gradient_bytes(tensor);
  }
  const size_t block = block_place(id);
  if (!recomputes(Recompute::block)) return {kept, work, gradients, block};
  return {tokens_ * input, kept + work, gradients, block};
}

size_t StepMemory::block_place(const LayerId& id) const {
  const auto index = static_cast<size_t>(id.index),
             core = static_cast<size_t>(m_.prelude_layers + 1);
  if (id.section == Section::core) return core;
  return id.section == Section::prelude ? index + 1 : core + 1 + index;
}

Whole StepMemory::loop_kept() const {
  const bool weighed = halting_.state && !injection_.state_in_loop;
  return injection_.loop + loop_adapter_kept(m_, c_) + halting_.loop +
         (weighed ? state() : Whole(0));
}

// Gradients of the state and of the injected input, which is summed over the loops; with halting
// also that of the output.
Whole StepMemory::loop_work() const {
  return (1 + (injection_.input_gradient ? 1 : 0) + halting_.gradients) * state();
}

// Ids and targets, places of documents; the final hidden state, which the caller holds.
Piece StepMemory::embedding() const {
  return {tokens_ * (2 * kIndexBytes + kFloatBytes + 1 + D_ * c_),
          narrow() ? tokens_ * state() : Whole(0), m_.tied_head ? Whole(0) : gradients_.embed};
}

// What the core is given: the prelude's output that was normalised, the injected input where the
// first state is not the same, and the drive of a zero-order hold before its gain.
Piece StepMemory::input() const {
  Whole kept = m_.prelude_norm ? D_ * c_ + kFloatBytes : Whole(0);
  const bool segment = recomputes(Recompute::loop);
  const bool first_state = m_.initial_state == InitialState::input;
  if ((injection_.input_in_fp32 || segment) && !first_state) kept += state();
  kept += injection_.drive + (segment ? injection_.recomputed_drive : Whole(0));
  return {tokens_ * kept, tokens_ * (state() + D_ * c_), gradients_.prelude_norm};
}

// The pieces of one loop. Recomputed as a whole it keeps its first state, and all that its pieces
// keep is there again while its backward pass runs.
std::vector<Piece> StepMemory::loop() const {
  std::vector<Piece> pieces;
  for (int64_t i = 0; i < m_.core_layers; ++i) {
    pieces.push_back(layer({Section::core, i}));
    pieces.back().work += tokens_ * loop_work();
  }
  Whole rest = 0;
  CoreTensors<Whole, Whole>::visit_rest(
      gradients_.core, m_,
      [&](const Whole& gradient, const TensorDeclaration&) { rest += gradient; });
  const size_t core = block_place({Section::core, 0});
  pieces.push_back({tokens_ * loop_kept(), tokens_ * loop_work(), rest, core});
  // The norm of a loop's state stands behind what is recomputed.
  const Whole normed = m_.final_norm == FinalNorm::loop ? state() + kFloatBytes : Whole(0);
  if (!recomputes(Recompute::loop)) {
    pieces.back().kept += tokens_ * normed;
    return pieces;
  }
  Piece whole = {tokens_ * (state() + halting_.keys + normed), 0, 0, core};
  for (const Piece& piece : pieces) {
    whole.work += piece.kept;
    whole.gradients += piece.gradients;
  }
  whole.work += std::ranges::max(pieces, {}, &Piece::work).work;
  return {whole};
}

// What compares the last loop with its second run: the moved state, and the difference of what both
// make of it. The gradient of the last state waits meanwhile.
Piece StepMemory::examined() const {
  return {tokens_ * 2 * state(), tokens_ * 3 * state()};
}

// What stands before the coda: the last state where it is normalised, and what a matrix reads.
Piece StepMemory::read_out() const {
  Whole kept = 0;
  if (m_.final_norm == FinalNorm::twice) kept += state() + kFloatBytes;
  if (m_.readout) kept += D_ * c_;
  return {tokens_ * kept, kept.value() > 0 ? tokens_ * state() : Whole(0), gradients_.readout};
}

// The last layer's output, which the final norm keeps; a block of logits, the gradient of the
// hidden state, and a narrow copy of the head's; a copy of the logits where oneDNN sums the head's
// gradient, which it does on CPUs that are not Intel's, and another of bounded ones.
Piece StepMemory::loss() const {
  const Whole rows = std::min(tokens_, Whole(std::max<int64_t>(1, kLogits / m_.vocab_size)));
  const Whole numbers = Whole(m_.vocab_size) * D_;
  const Whole head = narrow() ? numbers * c_ : Whole(0);
  const bool copies = !narrow() && numbers <= kOneDnnNumbers;
  const Whole beside = copies ? std::max(Whole(m_.vocab_size), D_) : D_;
  const Whole bounded = m_.logit_softcap > 0 ? Whole(m_.vocab_size) : Whole(0);
  return {tokens_ * (D_ * c_ + kFloatBytes),
          rows * (m_.vocab_size + beside + bounded) * c_ + tokens_ * D_ * c_ + head,
          (m_.tied_head ? gradients_.embed : gradients_.head) + gradients_.norm};
}

// What one process holds beside its weights.
class BackwardWalk {
 public:
  void begin(Whole kept) { kept_ = kept; }
  void pass(const std::vector<Piece>& pieces, bool first_time = true) {
    for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
      if (first_time) gradients_ += piece->gradients;
      most_ = std::max(most_, kept_ + piece->work + gradients_);
      kept_ -= piece->kept;
    }
  }
  void drop(Whole kept) { kept_ -= kept; }
  void end() {}
  Whole most() const { return most_; }

 private:
  Whole kept_, gradients_ = 0, most_ = 0;
};

// What a rank holds beside its shares where the weights of blocks come and go (train/sharding.h).
class ShardedWalk {
 public:
  ShardedWalk(const Config& config, int64_t ranks, const StepShape& shape);

  void begin(Whole kept) {
    kept_ = kept;
    now_ = blocks_.size() - 1;
  }
  void pass(const std::vector<Piece>& pieces, bool first_time = true) {
    for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
      if (piece->block > 0) move_to(piece->block);
      if (first_time) blocks_[piece->block].gradients += piece->gradients;
      look(kept_ + piece->work, 0);
      kept_ -= piece->kept;
    }
  }
  void drop(Whole kept) { kept_ -= kept; }
  void end() {
    for (size_t i = now_ + 1; i-- > 0;) sum(i);
  }
  ShardedPassBytes most() const {
    const int64_t blocks = std::max<int64_t>(0, (most_ - most_activations_).value());
    return {most_.value() - blocks, blocks};
  }

 private:
  struct Block {
    Whole whole, weights, largest;  // in fp32; as computing reads it; its largest tensor in fp32
    Whole coming = 0, share = 0;    // of the whole, what a gather brings and what a rank holds
    bool again = false, there = true;
    Whole gradients = 0;
  };

  void look(Whole activations, Whole more) {
    Whole blocks = more + coming_ + sent_;
    for (const Block& block : blocks_) {
      blocks += block.gradients + (block.there ? block.weights : Whole(0));
    }
    if (activations + blocks - to_come_ <= most_) return;
    most_activations_ = activations;
    most_ = activations + blocks - to_come_;
  }
  // The gradients of a block are copied to be sent, one block after the other.
  void sum(size_t i) {
    blocks_[i].there = false;
    to_come_ = std::max(Whole(0), to_come_ - blocks_[i].share);
    sent_ = blocks_[i].whole;
    look(kept_, 0);
    blocks_[i].gradients = 0;
  }
  void move_to(size_t to) {
    // Core and coda have no gradient complete before the first loop's backward pass.
    if (to < now_ && !(loop_outputs_ && to >= core_)) {
      for (size_t i = loop_outputs_ && now_ >= core_ ? blocks_.size() - 1 : now_; i > to; --i)
        sum(i);
    }
    now_ = to;
    Block& block = blocks_[to];
    coming_ = 0;
    if (!block.there) {
      block.there = true;
      look(kept_, block.coming + block.largest);
    }
    for (size_t i = to; i-- > 0 && coming_ == Whole(0);) {
      if (blocks_[i].again) coming_ = blocks_[i].coming;
    }
  }

  std::vector<Block> blocks_;
  bool loop_outputs_;
  size_t core_;
  size_t now_ = 0;
  Whole kept_ = 0, coming_ = 0, sent_ = 0;
  Whole to_come_ = 0;  // shares of gradients
  Whole most_activations_ = 0, most_ = 0;
};

ShardedWalk::ShardedWalk(const Config& config, int64_t ranks, const StepShape& shape)
    : loop_outputs_(wants_loop_outputs(config.objectives)),
      core_(static_cast<size_t>(config.model.prelude_layers + 1)) {
  const std::vector<TensorDeclaration> trained = declared_trained(config.model);
  std::vector<std::string> names;
  for (const TensorDeclaration& tensor : trained) names.push_back(tensor.name);
  const std::vector<ShardedBlock> members = blocks_of(names);
  const std::vector<bool> again = gathered_again(members, config);
  for (size_t i = 0; i < members.size(); ++i) {
    Block& block = blocks_.emplace_back();
    for (const size_t tensor : members[i].tensors) {
      const Holders holders = holders_of(config, trained[tensor], ranks);
      const Whole numbers = holders.numel;
      const bool copied = is_cast(trained[tensor].use) && shape.bytes_per_number < kFloatBytes;
      block.whole += numbers * kFloatBytes;
      block.weights += numbers * (copied ? shape.bytes_per_number : kFloatBytes);
      if (copied) block.largest = std::max(block.largest, numbers * kFloatBytes);
      if (holders.ranks > 1) block.coming += numbers * kFloatBytes;
      block.share += Whole(holders.numel / holders.ranks) * kFloatBytes;
    }
    if (!shape.accumulates) to_come_ += block.share;
    block.again = again[i];
    block.there = !again[i];
  }
}

Whole sum_kept(const std::vector<Piece>& pieces) {
  Whole sum = 0;
  for (const Piece& piece : pieces) sum += piece.kept;
  return sum;
}

template <class Walk>
void StepMemory::take(Walk& walk) const {
  std::vector<Piece> before = {embedding()}, after;
  for (int64_t i = 0; i < m_.prelude_layers; ++i) {
    before.push_back(layer({Section::prelude, i}));
  }
  before.push_back(input());
  const std::vector<Piece> loop = this->loop();
  after.push_back(read_out());
  for (int64_t i = 0; i < m_.coda_layers; ++i) {
    after.push_back(layer({Section::coda, i}));
  }
  after.push_back(loss());
  const int64_t outputs = shape_.loop_outputs ? loops_ : 1;
  if (outputs > 1) after.push_back({tokens_ * (D_ * c_ + 2 * kFloatBytes)});  // hidden states
  std::vector<Piece> second;  // run of the last loop, which comes before the first one's backward
  if (shape_.jacobian) {
    second = loop;
    second.push_back(examined());
  }
  walk.begin(sum_kept(before) + loops_ * sum_kept(loop) + sum_kept(second) +
             outputs * sum_kept(after));
  walk.pass(after);
  walk.pass(second);
  walk.pass(loop, /*first_time=*/!shape_.jacobian);
  // The loop before finds the core's gradients there; those before it find less.
  if (outputs > 1) walk.pass(after, /*first_time=*/false);
  if (loops_ > 1) walk.pass(loop, /*first_time=*/false);
  if (loops_ > 2) walk.drop((loops_ - 2) * sum_kept(loop));
  if (outputs > 2) walk.drop((outputs - 2) * sum_kept(after));
  walk.pass(before);
  walk.end();
}

Whole StepMemory::beside_gradients() const {
  BackwardWalk walk;
  take(walk);
  return shape_.accumulates ? walk.most() : walk.most() - all_gradients_;
}

}  // namespace

int64_t activation_bytes(const ModelConfig& config, const StepShape& shape) {
  return StepMemory(config, shape).beside_gradients().value();
}

ShardedPassBytes sharded_pass_bytes(const Config& config, int64_t ranks, const StepShape& shape) {
  ShardedWalk walk(config, ranks, shape);
  StepMemory(config.model, shape).take(walk);
  return walk.most();
}

}  // namespace mythos
