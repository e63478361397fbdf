#include "train/sharding.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/accumulate.h>

#include <algorithm>

#include "base/error.h"
#include "ops/linear/weight.h"
#include "train/expert_parallel.h"
#include "train/gradient_hook.h"

namespace mythos {
namespace {

// The numbers of a whole tensor in their order, behind autograd's back: it may hold the tensor for
// a backward pass, before which its memory is filled with the same values again.
Tensor numbers_of(const Tensor& tensor) {
  return tensor.variable_data().view({-1});
}

void copy_piece(const Tensor& share, const ShardPiece& piece, const Tensor& numbers) {
  share.narrow(0, piece.offset, piece.count).copy_(numbers.narrow(0, piece.begin, piece.count));
}

}  // namespace

Sharding::Sharding(const Config& config, Parameters& parameters, Ranks& ranks,
                   const ExpertParallel* experts, Parameters* values)
    : model_(config.model), ranks_(ranks), gathers_at_once_(gathers_at_once(config.train)) {
  const std::vector<TrainedTensor> trained = trained_tensors(parameters);
  for (const TrainedTensor& item : trained) {
    trained_.push_back(item.name);
    shapes_[item.name] = experts ? experts->whole_shape(item) : item.shape;
  }
  if (ranks.size() > 1) layout_ = config.train.layout;
  if (values && !shares_weights()) fill(parameters, *values);
  if (!shares_optimizer()) {
    own_ = trained;
    return;
  }
  divide_blocks(config, trained, experts);
  for (Block& block : blocks_) {
    for (const Tensor& parameter : block.parameters) {
      after_gradient(parameter, [this, &block] { complete(block); });
    }
  }
  take();
  if (values && shares_weights()) fill(parameters, *values);
}

Sharding::~Sharding() {
  for (const Block& block : blocks_) {
    for (const Tensor& parameter : block.parameters) after_gradient(parameter, {});
  }
}

void Sharding::divide_blocks(const Config& config, const std::vector<TrainedTensor>& trained,
                             const ExpertParallel* experts) {
  const std::vector<ShardedBlock> blocks = blocks_of(trained_);
  const std::vector<bool> again = gathered_again(blocks, config);
  calls_ = block_calls(blocks, config);
  if (!shares_weights()) std::erase_if(calls_, &BlockCall::gathers);
  blocks_.reserve(blocks.size());
  for (const ShardedBlock& members : blocks) {
    Block& block = blocks_.emplace_back();
    block.name = members.name;
    block.place = blocks_.size() - 1;
    block.again = again[block.place];
    for (const size_t i : members.tensors) {
      places_[trained_[i]] = {block.place, block.parameters.size()};
      Ranks* const ranks = experts ? &experts->holding(trained[i]) : &ranks_;
      auto part = std::ranges::find(block.parts, ranks, &Part::ranks);
      if (part == block.parts.end()) {
        block.parts.emplace_back().ranks = ranks;
        part = block.parts.end() - 1;
      }
      part->tensors.push_back(block.parameters.size());
      block.parameters.push_back(trained[i].tensor);
    }
    for (Part& part : block.parts) {
      std::vector<ShardedTensor> tensors;
      for (const size_t place : part.tensors) {
        const TrainedTensor& item = trained[members.tensors[place]];
        tensors.push_back({item.name, item.tensor.numel(), shard_unit(item, config.train)});
      }
      part.layout = divide(tensors, part.ranks->size());
      for (ShardPiece& piece : part.layout.pieces) piece.tensor = part.tensors[piece.tensor];
      if (shares_weights()) {
        part.share = at::zeros({part.layout.share}, block.parameters[0].detach().options());
      }
      for (const ShardPiece& piece : pieces_here(part)) {
        const TrainedTensor& item = trained[members.tensors[piece.tensor]];
        add_own(part, piece, item, experts ? experts->first_number(item) : 0);
      }
    }
  }
}

// `first` is the place of the tensor's numbers among those that all ranks hold.
void Sharding::add_own(const Part& part, const ShardPiece& piece, const TrainedTensor& held,
                       int64_t first) {
  TrainedTensor item = held;
  item.tensor = shares_weights() ? part.share.narrow(0, piece.offset, piece.count)
                                 : numbers_of(held.tensor).narrow(0, piece.begin, piece.count);
  const bool all = piece.count == held.tensor.numel();
  if (!all || shapes_.at(held.name) != held.shape) {
    item.name = slice_name(held.name, first + piece.begin);
  }
  if (!all) {
    item.shape = {piece.count};
    if (held.shape.size() == 3 && piece.count % (held.shape[1] * held.shape[2]) == 0 &&
        piece.begin % (held.shape[1] * held.shape[2]) == 0) {
      item.shape = {piece.count / (held.shape[1] * held.shape[2]), held.shape[1], held.shape[2]};
    }
  }
  item.tensor = item.tensor.view(item.shape);
  own_.push_back(std::move(item));
  own_pieces_.emplace_back(&part, piece);
}

// The pieces of this rank.
std::vector<ShardPiece> Sharding::pieces_here(const Part& part) const {
  std::vector<ShardPiece> pieces = part.layout.pieces;
  std::erase_if(pieces, [&](const ShardPiece& piece) { return piece.rank != part.ranks->rank(); });
  return pieces;
}

// Where a piece lies in the shares of all ranks.
Tensor Sharding::slot(const Tensor& shares, const Part& part, const ShardPiece& piece) const {
  return shares.narrow(0, piece.rank * part.layout.share + piece.offset, piece.count);
}

Sharding::Block* Sharding::block_at(const LayerId& layer) {
  const auto found = std::ranges::find(blocks_, block_of(layer), &Block::name);
  return found == blocks_.end() ? nullptr : &*found;
}

void Sharding::allocate() {
  if (!shares_weights()) return;
  for (Block& block : blocks_) {
    for (const Tensor& parameter : block.parameters) set_memory(parameter, true);
    block.there = true;
  }
}

void Sharding::release(Block& block) {
  for (const Tensor& parameter : block.parameters) set_memory(parameter, false);
  for (const Copy& copy : block.copies) set_memory(copy.weight, false);
  block.there = false;
}

void Sharding::release() {
  if (!shares_weights()) return;
  for (Block& block : blocks_) release(block);
}

void Sharding::take() {
  if (!shares_weights()) return;
  const at::NoGradGuard no_grad;
  for (Block& block : blocks_) {
    for (Part& part : block.parts) copy_own(part.share, block, part);
  }
}

void Sharding::fill(Parameters& parameters, Parameters& values) {
  const at::NoGradGuard no_grad;
  for (const Parameters::Item& item : parameters.items()) {
    const auto place = places_.find(item.name);
    if (!shares_weights() || place == places_.end()) {
      parameters.fill(item.name, values);
      continue;
    }
    for (Part& part : blocks_[place->second.first].parts) {
      for (const ShardPiece& piece : pieces_here(part)) {
        if (piece.tensor != place->second.second) continue;
        copy_piece(part.share, piece, values.at(item.name).reshape({-1}));
      }
    }
    values.release(item.name);
  }
}

// Where what is sent comes, so many numbers: where it is if the part has one rank.
Tensor Sharding::received_room(const Part& part, int64_t numbers) const {
  return part.ranks->size() == 1 ? part.sent : at::empty({numbers}, part.sent.options());
}

// This rank's share of the weights that have memory.
void Sharding::copy_own(Tensor& share, const Block& block, const Part& part) const {
  for (const ShardPiece& piece : pieces_here(part)) {
    const Tensor& parameter = block.parameters[piece.tensor];
    if (has_memory(parameter)) copy_piece(share, piece, numbers_of(parameter));
  }
}

void Sharding::start_gather(Block& block) {
  for (Part& part : block.parts) {
    // A rank that updates all numbers of a part has them.
    if (!shares_weights() && part.ranks->size() == 1) continue;
    part.sent = part.share;
    if (!shares_weights()) {
      part.sent = at::zeros({part.layout.share}, block.parameters[0].detach().options());
      copy_own(part.sent, block, part);
    }
    part.received = received_room(part, part.ranks->size() * part.layout.share);
    part.gathering = part.ranks->start_all_gather(part.received, part.sent);
  }
}

void Sharding::finish_gather(Block& block) {
  for (Part& part : block.parts) {
    if (!part.gathering) continue;
    part.gathering->wait();
    part.gathering.reset();
    for (const size_t i : part.tensors) {
      const Tensor& parameter = block.parameters[i];
      set_memory(parameter, true);
      for (const ShardPiece& piece : part.layout.pieces) {
        if (piece.tensor != i || (!shares_weights() && piece.rank == part.ranks->rank())) continue;
        numbers_of(parameter)
            .narrow(0, piece.begin, piece.count)
            .copy_(slot(part.received, part, piece));
      }
      const auto copy = std::ranges::find(block.copies, i, &Copy::parameter);
      if (copy == block.copies.end()) continue;
      fill_weight(copy->declaration, parameter, copy->weight);
      set_memory(parameter, false);
    }
    part.sent = part.received = Tensor();
  }
  block.there = true;
}

void Sharding::gather() {
  if (!shares_weights()) return;
  gather_all();
}

void Sharding::gather_all() {
  const at::NoGradGuard no_grad;
  start_gather(blocks_[0]);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (i + 1 < blocks_.size()) start_gather(blocks_[i + 1]);
    finish_gather(blocks_[i]);
  }
}

// The largest of all ranks' numbers.
int64_t Sharding::most(int64_t number) {
  const Tensor own = at::full({1}, number, at::kLong);
  Tensor all = at::empty({ranks_.size()}, at::kLong);
  ranks_.start_all_gather(all, own)->wait();
  return all.max().item<int64_t>();
}

void Sharding::begin_step(size_t passes) {
  passes_left_ = passes;
  if (shares_weights()) passes_left_ = static_cast<size_t>(most(static_cast<int64_t>(passes)));
}

void Sharding::begin_pass() {
  if (!shares_weights()) return;
  await_gradients();
  for (size_t i = 0; gathers_at_once_ && i < blocks_.size(); ++i) enter(i);
}

void Sharding::weights_made(const Weights& weights) {
  if (!shares_weights()) return;
  Weights::visit(weights, model_, [&](const Matrix& weight, const TensorDeclaration& declaration) {
    const auto found = places_.find(declaration.name);
    if (found == places_.end()) return;
    Block& block = blocks_[found->second.first];
    const Tensor& parameter = block.parameters[found->second.second];
    if (weight.values.storage().is_alias_of(parameter.storage())) return;
    block.copies.push_back({found->second.second, declaration, weight.values.detach()});
    if (block.there) set_memory(parameter, false);
  });
  if (blocks_[0].name.empty()) enter(0);
}

void Sharding::begin_evaluation() {
  if (!shares_weights()) return;
  evaluates_ = true;
  for (size_t i = 0; gathers_at_once_ && i < blocks_.size(); ++i) enter(i);
}

void Sharding::end_evaluation() {
  if (!shares_weights()) return;
  evaluates_ = false;
  end_of_pass();
}

// Starts the next collective of the pass.
void Sharding::start_call() {
  if (next_ == calls_.size()) fail(ErrorKind::internal, "a pass reads weights behind its end");
  const BlockCall call = calls_[next_++];
  call.gathers ? start_gather(blocks_[call.block]) : start_reduce(blocks_[call.block]);
}

void Sharding::make_there(Block& block) {
  if (block.there) return;
  while (!block.is_coming()) evaluates_ ? start_gather(block) : start_call();
  finish_gather(block);
}

// The forward pass comes to a block. The next one is gathered while it computes.
void Sharding::enter(size_t block) {
  const at::NoGradGuard no_grad;
  make_there(blocks_[block]);
  if (block + 1 == blocks_.size()) return;
  if (evaluates_) {
    Block& next = blocks_[block + 1];
    if (!next.there && !next.is_coming()) start_gather(next);
  } else if (next_ == block + 1) {
    start_call();
  }
}

void Sharding::begin_forward(const LayerId& layer) {
  if (const Block* block = block_at(layer)) enter(block->place);
}

void Sharding::end_forward(const LayerId& layer) {
  Block* const block = block_at(layer);
  if (!block) return;
  // Passes for latent thoughts, of which ranks have not equally many, find all blocks there.
  const bool once = gathers_at_once_ || model_.latent_token >= 0;
  if (evaluates_ ? !once : block->again) release(*block);
}

void Sharding::begin_backward(const LayerId& layer) {
  Block* const block = block_at(layer);
  if (!block || block->missing == 0) return;
  const at::NoGradGuard no_grad;
  make_there(*block);
  // The turn of those behind it is over, even if some of their tensors have no gradient.
  const auto next_is = [&](bool gathers) {
    return next_ < calls_.size() && calls_[next_].gathers == gathers;
  };
  while (block->again && next_is(false) && calls_[next_].block > block->place) start_call();
  if (next_is(true)) start_call();
}

void Sharding::begin_last_backward() {
  if (layout_ == Layout::sharded_optimizer) await_gradients();
}

void Sharding::await_gradients() {
  collects_ = true;
  next_ = 0;
  for (Block& block : blocks_) {
    block.missing = block.parameters.size();
    block.summed = false;
  }
}

// A tensor of the block has its gradient.
void Sharding::complete(Block& block) {
  if (!collects_) return;
  if (block.summed) {
    fail(ErrorKind::internal, "a gradient of block '" + block.name + "' came behind their sum");
  }
  // What reads weights has given them their gradients, so this pass needs them no more.
  if (--block.missing == 0 && shares_weights()) release(block);
  while (next_ < calls_.size() && !calls_[next_].gathers &&
         blocks_[calls_[next_].block].missing == 0) {
    start_call();
  }
}

// Hands over the gradients that a rank has of a block; others are 0. All ranks do so in one order.
void Sharding::start_reduce(Block& block) {
  const at::NoGradGuard no_grad;
  block.summed = true;
  if (shares_weights()) {
    release(block);
    // One sum at a time, so that no more than two blocks' gradients are there.
    for (Block& other : blocks_) finish_reduce(other);
  }
  for (Part& part : block.parts) {
    part.sent =
        at::zeros({part.ranks->size() * part.layout.share}, block.parameters[0].detach().options());
    for (const ShardPiece& piece : part.layout.pieces) {
      const Tensor& gradient = block.parameters[piece.tensor].grad();
      if (!gradient.defined()) continue;
      slot(part.sent, part, piece)
          .copy_(gradient.reshape({-1}).narrow(0, piece.begin, piece.count));
    }
    for (const size_t i : part.tensors) block.parameters[i].mutable_grad() = Tensor();
    part.received = received_room(part, part.layout.share);
    part.summing = part.ranks->start_reduce_scatter(part.received, part.sent);
  }
}

void Sharding::finish_reduce(Block& block) {
  const at::NoGradGuard no_grad;
  for (Part& part : block.parts) {
    if (!part.summing) continue;
    part.summing->wait();
    part.summing.reset();
    if (part.gradient.defined()) {
      part.gradient.add_(part.received);
    } else {
      part.gradient = part.received;
    }
    part.sent = part.received = Tensor();
  }
}

// Waits for weights that nobody has read.
void Sharding::drop_gathered() {
  for (Block& block : blocks_) {
    for (Part& part : block.parts) {
      if (!part.gathering) continue;
      part.gathering->wait();
      part.gathering.reset();
      part.sent = part.received = Tensor();
    }
  }
}

// Starts what other ranks may have started, and waits for all.
void Sharding::finish_backward() {
  drop_gathered();
  while (next_ < calls_.size()) {
    start_call();
    drop_gathered();
  }
  for (Block& block : blocks_) finish_reduce(block);
  collects_ = false;
}

void Sharding::end_pass() {
  if (passes_left_ > 0) --passes_left_;
  if (!shares_weights()) return;
  finish_backward();
  end_of_pass();
}

void Sharding::end_of_pass() {
  drop_gathered();
  release();
  for (Block& block : blocks_) block.copies.clear();
}

void Sharding::finish_gradients() {
  if (!shares_optimizer()) return;
  while (shares_weights() && passes_left_ > 0) {
    begin_pass();
    end_pass();
  }
  if (!shares_weights()) finish_backward();
  for (size_t i = 0; i < own_.size(); ++i) {
    const auto& [part, piece] = own_pieces_[i];
    own_[i].tensor.mutable_grad() =
        part->gradient.narrow(0, piece.offset, piece.count).view(own_[i].shape);
  }
  for (Block& block : blocks_) {
    for (Part& part : block.parts) part.gradient = Tensor();
  }
}

Tensor Sharding::norm(const Tensor& own) const {
  const at::NoGradGuard no_grad;
  const Tensor square = own.to(at::kDouble).square().reshape({1});
  Tensor all = at::empty({ranks_.size()}, square.options());
  ranks_.start_all_gather(all, square)->wait();
  return all.sum().sqrt().to(at::kFloat);
}

void Sharding::finish_update() {
  if (layout_ == Layout::sharded_optimizer) gather_all();
}

NamedTensors Sharding::part_of(const NamedTensors& whole) const {
  std::vector<int64_t> loads(static_cast<size_t>(ranks_.size()), 0);
  NamedTensors part;
  for (const auto& item : whole) {
    const auto least = std::ranges::min_element(loads);
    *least += static_cast<int64_t>(item.second.nbytes());
    if (least - loads.begin() == ranks_.rank()) part.push_back(item);
  }
  return part;
}

NamedTensors Sharding::take_pieces(NamedTensors& weights) const {
  std::erase_if(weights, [this](const auto& item) { return shapes_.contains(item.first); });
  NamedTensors pieces;
  for (const TrainedTensor& item : own_) pieces.emplace_back(item.name, item.tensor.detach());
  return pieces;
}

TensorShapes Sharding::sliced(const NamedTensors& part) const {
  TensorShapes sliced;
  for (const auto& item : part) {
    if (!slice_begin(item.first)) continue;
    const std::string name = whole_name(item.first);
    const auto weight = shapes_.find(name);
    sliced[name] = weight != shapes_.end() ? weight->second : shapes_.at(tensor_of_state(name));
  }
  return sliced;
}

StoredTensors Sharding::own_state(const TensorMap& stored, const NamedTensors& own,
                                  const std::string& origin) const {
  const auto is_ours = [&](const std::string& name) {
    return name == "step" || shapes_.contains(tensor_of_state(name));
  };
  StoredTensors out;
  const auto as_it_is = [&out](const std::string& name, const Tensor& tensor) {
    out[name] = [tensor] { return tensor; };
  };
  for (const auto& [name, tensor] : stored) {
    if (!is_ours(whole_name(name))) as_it_is(name, tensor);
  }
  for (const auto& [name, tensor] : own) {
    const auto found = stored.find(name);
    if (found != stored.end() && !slice_begin(name)) {
      as_it_is(name, found->second);
    } else if (has_numbers(stored, whole_name(name))) {
      out[name] = [&stored, of = name, sizes = tensor.sizes().vec(), origin] {
        const int64_t begin = slice_begin(of).value_or(0);
        const int64_t count = c10::multiply_integers(sizes);
        return stored_numbers(stored, whole_name(of), begin, count, origin).view(sizes);
      };
    }
  }
  return out;
}

}  // namespace mythos
