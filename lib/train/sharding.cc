#include "train/sharding.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "base/error.h"
#include "ops/linear/weight.h"
#include "train/gradient_hook.h"

namespace mythos {
namespace {

// The numbers of a whole tensor in their order, behind autograd's back: it may hold the tensor for
// a backward pass, before which its memory is filled with the same values again.
Tensor numbers_of(const Tensor& tensor) {
  return tensor.variable_data().view({-1});
}

}  // namespace

Sharding::Sharding(const Config& config, Parameters& parameters, Ranks& ranks)
    : model_(config.model), ranks_(ranks), gathers_at_once_(gathers_at_once(config.train)) {
  const std::vector<TrainedTensor> trained = trained_tensors(parameters);
  for (const TrainedTensor& item : trained) {
    trained_.push_back(item.name);
    shapes_[item.name] = item.shape;
  }
  if (ranks.size() > 1) layout_ = config.train.layout;
  if (!shares_optimizer()) {
    own_ = trained;
    return;
  }
  divide_blocks(config, trained);
  for (Block& block : blocks_) {
    for (const Tensor& parameter : block.parameters) {
      after_gradient(parameter, [this, &block] { complete(block); });
    }
  }
  take();
}

Sharding::~Sharding() {
  for (const Block& block : blocks_) {
    for (const Tensor& parameter : block.parameters) after_gradient(parameter, {});
  }
}

void Sharding::divide_blocks(const Config& config, const std::vector<TrainedTensor>& trained) {
  const std::vector<ShardedBlock> blocks = blocks_of(trained_);
  const std::vector<bool> again = gathered_again(blocks, config);
  calls_ = block_calls(blocks, config);
  if (!shares_weights()) std::erase_if(calls_, &BlockCall::gathers);
  blocks_.reserve(blocks.size());
  for (const ShardedBlock& members : blocks) {
    std::vector<ShardedTensor> tensors;
    Block& block = blocks_.emplace_back();
    block.name = members.name;
    block.place = blocks_.size() - 1;
    block.again = again[block.place];
    for (const size_t i : members.tensors) {
      places_[trained_[i]] = {block.place, tensors.size()};
      tensors.push_back(
          {trained_[i], trained[i].tensor.numel(), shard_unit(trained[i], config.train)});
      block.parameters.push_back(trained[i].tensor);
    }
    block.layout = divide(tensors, ranks_.size());
    if (shares_weights()) {
      block.share = at::zeros({block.layout.share}, block.parameters[0].detach().options());
    }
    for (const ShardPiece& piece : block.layout.pieces) {
      if (piece.rank == ranks_.rank())
        add_own(block, piece, trained[members.tensors[piece.tensor]]);
    }
  }
}

void Sharding::add_own(const Block& block, const ShardPiece& piece, const TrainedTensor& whole) {
  TrainedTensor item = whole;
  item.tensor = shares_weights() ? block.share.narrow(0, piece.offset, piece.count)
                                 : numbers_of(whole.tensor).narrow(0, piece.begin, piece.count);
  if (piece.count < whole.tensor.numel()) {
    item.name = slice_name(whole.name, piece.begin);
    item.shape = {piece.count};
    if (whole.shape.size() == 3 && piece.count % (whole.shape[1] * whole.shape[2]) == 0 &&
        piece.begin % (whole.shape[1] * whole.shape[2]) == 0) {
      item.shape = {piece.count / (whole.shape[1] * whole.shape[2]), whole.shape[1],
                    whole.shape[2]};
    }
  }
  item.tensor = item.tensor.view(item.shape);
  own_.push_back(std::move(item));
  own_pieces_.emplace_back(blocks_.size() - 1, piece);
}

// Where a piece lies in the shares of all ranks.
Tensor Sharding::slot(const Tensor& shares, const Block& block, const ShardPiece& piece) const {
  return shares.narrow(0, piece.rank * block.layout.share + piece.offset, piece.count);
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
    for (const ShardPiece& piece : block.layout.pieces) {
      if (piece.rank != ranks_.rank()) continue;
      block.share.narrow(0, piece.offset, piece.count)
          .copy_(numbers_of(block.parameters[piece.tensor]).narrow(0, piece.begin, piece.count));
    }
  }
}

void Sharding::start_gather(Block& block) {
  block.sent = block.share;
  if (!shares_weights()) {
    block.sent = at::zeros({block.layout.share}, block.parameters[0].detach().options());
    for (const ShardPiece& piece : block.layout.pieces) {
      if (piece.rank != ranks_.rank()) continue;
      block.sent.narrow(0, piece.offset, piece.count)
          .copy_(numbers_of(block.parameters[piece.tensor]).narrow(0, piece.begin, piece.count));
    }
  }
  block.received = at::empty({ranks_.size() * block.layout.share}, block.sent.options());
  block.gathering = ranks_.start_all_gather(block.received, block.sent);
}

void Sharding::finish_gather(Block& block) {
  block.gathering->wait();
  block.gathering.reset();
  for (size_t i = 0; i < block.parameters.size(); ++i) {
    const Tensor& parameter = block.parameters[i];
    set_memory(parameter, true);
    for (const ShardPiece& piece : block.layout.pieces) {
      if (piece.tensor != i || (!shares_weights() && piece.rank == ranks_.rank())) continue;
      numbers_of(parameter)
          .narrow(0, piece.begin, piece.count)
          .copy_(slot(block.received, block, piece));
    }
    const auto copy = std::ranges::find(block.copies, i, &Copy::parameter);
    if (copy == block.copies.end()) continue;
    fill_weight(copy->declaration, parameter, copy->weight);
    set_memory(parameter, false);
  }
  block.sent = block.received = Tensor();
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
  while (!block.gathering) evaluates_ ? start_gather(block) : start_call();
  finish_gather(block);
}

// The forward pass comes to a block. The next one is gathered while it computes.
void Sharding::enter(size_t block) {
  const at::NoGradGuard no_grad;
  make_there(blocks_[block]);
  if (block + 1 == blocks_.size()) return;
  if (evaluates_) {
    Block& next = blocks_[block + 1];
    if (!next.there && !next.gathering) start_gather(next);
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
  block.sent =
      at::zeros({ranks_.size() * block.layout.share}, block.parameters[0].detach().options());
  for (const ShardPiece& piece : block.layout.pieces) {
    const Tensor& gradient = block.parameters[piece.tensor].grad();
    if (!gradient.defined()) continue;
    slot(block.sent, block, piece)
        .copy_(gradient.reshape({-1}).narrow(0, piece.begin, piece.count));
  }
  for (Tensor& parameter : block.parameters) parameter.mutable_grad() = Tensor();
  block.received = at::empty({block.layout.share}, block.sent.options());
  block.summing = ranks_.start_reduce_scatter(block.received, block.sent);
}

void Sharding::finish_reduce(Block& block) {
  if (!block.summing) return;
  const at::NoGradGuard no_grad;
  block.summing->wait();
  block.summing.reset();
  if (block.gradient.defined()) {
    block.gradient.add_(block.received);
  } else {
    block.gradient = block.received;
  }
  block.sent = block.received = Tensor();
}

// Waits for weights that nobody has read.
void Sharding::drop_gathered() {
  for (Block& block : blocks_) {
    if (!block.gathering) continue;
    block.gathering->wait();
    block.gathering.reset();
    block.sent = block.received = Tensor();
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
    const auto& [block, piece] = own_pieces_[i];
    own_[i].tensor.mutable_grad() =
        blocks_[block].gradient.narrow(0, piece.offset, piece.count).view(own_[i].shape);
  }
  for (Block& block : blocks_) block.gradient = Tensor();
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

NamedTensors Sharding::own_weights(const Parameters& parameters) const {
  NamedTensors rest;
  for (const Parameters::Item& item : parameters.items()) {
    if (!shapes_.contains(item.name)) rest.emplace_back(item.name, item.tensor.detach());
  }
  NamedTensors part = part_of(rest);
  for (const TrainedTensor& item : own_) part.emplace_back(item.name, item.tensor.detach());
  return part;
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

TensorMap Sharding::own_state(const TensorMap& stored, const NamedTensors& own,
                              const std::string& origin) const {
  const auto is_ours = [&](const std::string& name) {
    return name == "step" || shapes_.contains(tensor_of_state(name));
  };
  TensorMap out;
  for (const auto& [name, tensor] : stored) {
    if (!is_ours(whole_name(name))) out.emplace(name, tensor);
  }
  for (const auto& [name, tensor] : own) {
    const auto found = stored.find(name);
    if (found != stored.end() && !slice_begin(name)) {
      out[name] = found->second;
      continue;
    }
    const int64_t begin = slice_begin(name).value_or(0);
    const Tensor numbers = stored_numbers(stored, whole_name(name), begin, tensor.numel(), origin);
    if (numbers.defined()) out[name] = numbers.view(tensor.sizes());
  }
  return out;
}

}  // namespace mythos
