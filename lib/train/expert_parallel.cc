#include "train/expert_parallel.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "arch/tensors.h"
#include "ops/autograd.h"
#include "ops/linear/weight.h"
#include "ops/moe/moe.h"

namespace mythos {
namespace {

// The k slots of each of N tokens, sorted by expert.
struct SlotOrder {
  int64_t per_token = 0;  // k
  Tensor experts;         // [N·k] int64: of each sorted slot
  Tensor order, place;    // [N·k] int64: the slots by expert, and the inverse
};

SlotOrder sorted_slots(const Tensor& experts) {
  SlotOrder out;
  out.per_token = experts.size(1);
  std::tie(out.experts, out.order) =
      experts.reshape({-1}).sort(/*stable=*/true, 0, /*descending=*/false);
  out.place = at::empty_like(out.order).scatter_(
      0, out.order, at::arange(out.order.numel(), out.order.options()));
  return out;
}

// x [N,D] → the row of each sorted slot [N·k,D]. The gradients of a token's k rows are summed at
// once, in a fixed order.
Tensor rows_of_slots(const Tensor& x, const SlotOrder& slots) {
  return record_operation("ExpertRowsBackward", {x}, [&] {
    Operation operation{{x.index_select(0, slots.order.floor_divide(slots.per_token))}};
    operation.backward = [slots](const BackwardPass& pass) -> std::vector<Tensor> {
      const Tensor by_token = pass.gradients[0].index_select(0, slots.place);
      return {by_token.view({-1, slots.per_token, by_token.size(1)}).sum(1)};
    };
    return operation;
  })[0];
}

// The rows [N·k,D] of sorted slots by token and slot, [N,k,D].
Tensor by_token(const Tensor& rows, const SlotOrder& slots) {
  const auto placed = record_operation("ExpertResultsBackward", {rows}, [&] {
    Operation operation{{rows.index_select(0, slots.place)}};
    operation.backward = [order = slots.order](const BackwardPass& pass) -> std::vector<Tensor> {
      return {pass.gradients[0].index_select(0, order)};
    };
    return operation;
  });
  return placed[0].view({-1, slots.per_token, rows.size(1)});
}

// Σ_j weights[n,j] · rows[n,j] in fp32, rounded once. rows [N,k,D], weights [N,k] fp32 → [N,D].
Tensor mixed(const Tensor& rows, const Tensor& weights) {
  const std::vector<Tensor> parts = rows.unbind(1), shares = weights.unbind(1);
  Tensor sum;
  for (size_t j = 0; j < parts.size(); ++j) {
    const Tensor term = parts[j] * shares[j].unsqueeze(1);
    sum = sum.defined() ? sum + term : term;
  }
  return sum.to(rows.scalar_type());
}

// Zeros where no other loop adds to the gradient of a weight: what is given to autograd.
Tensor no_gradient(const Tensor& w) {
  Tensor* const shared = gradient_sum(w);
  if (!shared) return at::zeros_like(w);
  if (!shared->defined()) *shared = at::zeros(w.sizes(), w.options().dtype(at::kFloat));
  return {};
}

// The results [R,D] of rows for experts [R]. Without rows the graph is that of others with some, so
// that all ranks send gradients back and have those of their weights at the same time.
Tensor of_experts(const Tensor& rows, const Tensor& experts, const Matrix& gate_up,
                  const Matrix& down) {
  if (rows.size(0) > 0) {
    const Tensor ones = at::ones({rows.size(0), 1}, rows.options().dtype(at::kFloat));
    return moe_swiglu(rows, experts.unsqueeze(1), ones.detach(), gate_up, down);
  }
  return record_operation("NoExpertRowsBackward", {rows, gate_up.values, down.values}, [&] {
    Operation operation{{at::empty_like(rows.detach())}, {gate_up.values, down.values}};
    operation.backward = [](const BackwardPass& pass) -> std::vector<Tensor> {
      std::vector<Tensor> gradients = {pass.gradients[0], Tensor(), Tensor()};
      for (size_t i = 0; i < 2; ++i) {
        if (pass.wanted[i + 1]) gradients[i + 1] = no_gradient(pass.saved[i]);
      }
      return gradients;
    };
    return operation;
  })[0];
}

}  // namespace

ExpertParallel::ExpertParallel(const Config& config, Parameters& parameters, Ranks& ranks)
    : ranks_(ranks) {
  const int64_t parts = config.train.expert_ranks;
  if (parts == 1) return;
  require_expert_ranks(config.train, ranks.size());
  n_experts_ = config.model.n_experts;
  share_ = expert_share(config, ranks.rank());
  group_ = ranks.split(ranks.rank() / parts);
  replicas_ = ranks.split(ranks.rank() % parts);
  for (const TensorDeclaration& tensor : declared_tensors(config.model)) {
    if (is_of_experts(tensor)) shapes_[tensor.name] = tensor.shape;
  }
  divide(parameters);
  for (const TrainedTensor& item : trained_tensors(parameters)) {
    if (is_divided(item.name)) trained_.push_back(item.tensor);
  }
}

void ExpertParallel::divide(Parameters& parameters) const {
  for (const auto& [name, shape] : shapes_) {
    parameters.keep_part(name, share_.begin, share_.count);
  }
}

std::vector<int64_t> ExpertParallel::whole_shape(const TrainedTensor& tensor) const {
  const auto found = shapes_.find(tensor.name);
  return found == shapes_.end() ? tensor.shape : found->second;
}

int64_t ExpertParallel::first_number(const TrainedTensor& tensor) const {
  return is_divided(tensor.name) ? share_.begin * (tensor.tensor.numel() / share_.count) : 0;
}

Ranks& ExpertParallel::holding(const TrainedTensor& tensor) const {
  return is_divided(tensor.name) ? *replicas_ : ranks_;
}

Tensor ExpertParallel::norm(const Tensor& own) const {
  if (!divides()) return own;
  const at::NoGradGuard no_grad;
  Tensor experts = at::zeros({}, own.options().dtype(at::kDouble));
  for (const Tensor& tensor : trained_) {
    if (tensor.grad().defined()) {
      experts += at::linalg_vector_norm(tensor.grad()).to(at::kDouble).square();
    }
  }
  const Tensor squares = at::stack({own.to(at::kDouble).square(), experts});
  Tensor all = at::empty({2 * ranks_.size()}, squares.options());
  ranks_.start_all_gather(all, squares)->wait();
  const Tensor of_ranks = all.view({ranks_.size(), 2});
  const Tensor rest = (of_ranks[0][0] - of_ranks[0][1]).clamp_min(0);
  return (rest + of_ranks.narrow(0, 0, group_->size()).select(1, 1).sum()).sqrt().to(at::kFloat);
}

// Every rank learns how many rows it gets, for each of its experts, from each rank of its group.
// The host waits for these counts: the exchange of rows takes them from there.
ExpertParallel::Counts ExpertParallel::exchange_counts(const Tensor& sorted_experts) {
  const int64_t parts = group_->size();
  const Tensor ids = at::arange(n_experts_, sorted_experts.options());
  const Tensor ends = at::searchsorted(sorted_experts, ids, /*out_int32=*/false, /*right=*/true);
  const Tensor sent =
      at::diff(ends, 1, 0, at::zeros({1}, ends.options())).view({parts, share_.count});
  Tensor received = at::empty_like(sent);
  const std::vector<int64_t> one_each(static_cast<size_t>(parts), 1);
  group_->start_all_to_all(received, sent, one_each, one_each)->wait();
  const Tensor host = at::stack({sent.sum(1), received.sum(1)}).cpu();
  const int64_t* rows = host.const_data_ptr<int64_t>();
  Counts counts{{rows, rows + parts}, {rows + parts, rows + 2 * parts}, {}};
  const int64_t total = std::accumulate(counts.received.begin(), counts.received.end(), int64_t{0});
  const Tensor own = at::arange(share_.count, received.options()).repeat({parts});
  counts.experts = own.repeat_interleave(received.flatten(), 0, total);
  rows_ += total;
  return counts;
}

// Sends to[r] rows to each rank r of the group and gives those that come, from[r] of each; their
// gradients go the other way.
Tensor ExpertParallel::swapped(const Tensor& rows, const std::vector<int64_t>& to,
                               const std::vector<int64_t>& from) {
  const auto send = [this](const Tensor& out_of, const std::vector<int64_t>& sent,
                           const std::vector<int64_t>& received) {
    const int64_t total = std::accumulate(received.begin(), received.end(), int64_t{0});
    Tensor into = at::empty({total, out_of.size(1)}, out_of.options().requires_grad(false));
    group_->start_all_to_all(into, out_of.contiguous(), received, sent)->wait();
    return into;
  };
  return record_operation("ExpertExchangeBackward", {rows}, [&] {
    Operation operation{{send(rows.detach(), to, from)}};
    operation.backward = [send, to, from](const BackwardPass& pass) -> std::vector<Tensor> {
      return {send(pass.gradients[0], from, to)};
    };
    return operation;
  })[0];
}

Tensor ExpertParallel::mixture(const Tensor& x, const Tensor& experts, const Tensor& weights,
                               const Matrix& gate_up, const Matrix& down) {
  const SlotOrder slots = sorted_slots(experts);
  const Counts counts = exchange_counts(slots.experts);
  const Tensor rows = swapped(rows_of_slots(x, slots), counts.sent, counts.received);
  const Tensor results = of_experts(rows, counts.experts, gate_up, down);
  return mixed(by_token(swapped(results, counts.received, counts.sent), slots), weights);
}

NamedTensors ExpertParallel::take_slices(NamedTensors& tensors) const {
  NamedTensors slices, rest;
  for (const auto& [name, tensor] : tensors) {
    if (!is_divided(name) && !is_divided(tensor_of_state(name))) {
      rest.emplace_back(name, tensor);
    } else if (ranks_.rank() < group_->size()) {
      slices.emplace_back(slice_name(name, share_.begin * (tensor.numel() / share_.count)), tensor);
    }
  }
  tensors = std::move(rest);
  return slices;
}

TensorShapes ExpertParallel::sliced(const NamedTensors& slices) const {
  TensorShapes shapes;
  for (const auto& item : slices) {
    const std::string name = whole_name(item.first);
    shapes[name] = shapes_.at(is_divided(name) ? name : tensor_of_state(name));
  }
  return shapes;
}

TensorMap ExpertParallel::own_state(TensorMap stored, const NamedTensors& own,
                                    const std::string& origin) const {
  for (const auto& [name, tensor] : own) {
    if (!is_divided(tensor_of_state(name))) continue;
    const int64_t begin = share_.begin * (tensor.numel() / share_.count);
    const Tensor numbers = stored_numbers(stored, name, begin, tensor.numel(), origin);
    std::erase_if(stored, [&of = name](const auto& item) { return whole_name(item.first) == of; });
    if (numbers.defined()) stored[name] = numbers.view(tensor.sizes());
  }
  return stored;
}

double ExpertParallel::take_spread() {
  double most = 0, sum = 0;
  for (const std::string& text : ranks_.gather(std::to_string(std::exchange(rows_, 0)))) {
    const double rows = std::stod(text);
    most = std::max(most, rows);
    sum += rows;
  }
  return sum > 0 ? most * static_cast<double>(ranks_.size()) / sum : 1;
}

}  // namespace mythos
