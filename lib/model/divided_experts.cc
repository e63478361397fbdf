#include "model/divided_experts.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <chrono>
#include <thread>

#include "base/error.h"
#include "base/strings.h"
#include "ops/moe/moe.h"

namespace mythos {
namespace {

// The numbers of `shape` at byte `begin` of `bytes`; `begin` moves behind them.
Tensor take_numbers(const Tensor& bytes, int64_t& begin, at::IntArrayRef shape,
                    at::ScalarType type) {
  const int64_t size = c10::multiply_integers(shape) * static_cast<int64_t>(c10::elementSize(type));
  const Tensor numbers = bytes.narrow(0, begin, size).view(type).view(shape);
  begin += size;
  return numbers;
}

}  // namespace

DividedExperts::DividedExperts(const ModelConfig& config, const ExpertShare& share, Ranks& ranks,
                               double timeout_seconds)
    : config_(config), share_(share), ranks_(ranks), timeout_seconds_(timeout_seconds) {}

void DividedExperts::run(const Weights& weights, const std::function<void()>& work) {
  stacks_.clear();
  device_ = weights.embed.device();
  const auto hold = [this](const Matrix& matrix, const TensorDeclaration& tensor) {
    if (!is_of_experts(tensor)) return;
    const bool begins = stacks_.empty() || stacks_.back().down.defined();
    begins ? stacks_.push_back({matrix, {}}) : void(stacks_.back().down = matrix);
  };
  Weights::visit(weights, config_, hold);
  if (ranks_.rank() > 0) return serve();
  has_ended_ = false;
  std::thread in_touch([this] { stay_in_touch(); });
  const auto end = [&] {
    {
      const std::lock_guard lock(mutex_);
      has_ended_ = true;
    }
    ended_.notify_all();
    in_touch.join();
  };
  try {
    work();
  } catch (...) {
    end();
    throw;
  }
  end();
  tell({.stack = kDone});
}

// Rank 0 gives a call, the others get it.
DividedExperts::Call DividedExperts::tell(const Call& call) {
  Tensor numbers = at::tensor({call.stack, call.tokens, call.type}, at::kLong);
  ranks_.broadcast(numbers, 0);
  const int64_t* told = numbers.const_data_ptr<int64_t>();
  return {told[0], told[1], told[2]};
}

void DividedExperts::serve() {
  const c10::InferenceMode guard;
  while (true) {
    const Call call = tell({});
    if (call.stack == kDone) return;
    if (call.stack == kIdle) continue;
    summed(call, packed_bytes(call));
  }
}

// While there is no mixture for long, the others are told that they are to wait on.
void DividedExperts::stay_in_touch() {
  const std::chrono::duration<double> pause(timeout_seconds_ / 4);
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, pause, [this] { return has_ended_; })) {
    try {
      tell({});
    } catch (const std::exception&) {
      return;  // the next mixture fails as this did
    }
  }
}

int64_t DividedExperts::stack_of(const Matrix& gate_up) const {
  for (size_t i = 0; i < stacks_.size(); ++i) {
    if (stacks_[i].gate_up.values.is_same(gate_up.values)) return static_cast<int64_t>(i);
  }
  fail(ErrorKind::internal, "a mixture of weights that no rank but this one has");
}

// Room for the experts, weights and rows of a call, one behind the other.
Tensor DividedExperts::packed_bytes(const Call& call) const {
  const auto type = static_cast<at::ScalarType>(call.type);
  const int64_t of_route = sizeof(int64_t) + sizeof(float);
  const int64_t of_number = static_cast<int64_t>(c10::elementSize(type));
  return at::empty({call.tokens * (config_.n_experts_per_tok * of_route + config_.dim * of_number)},
                   at::dtype(at::kByte).device(device_));
}

// Rank 0's bytes reach all ranks; gives Σ over ranks of their results [N,D] fp32.
Tensor DividedExperts::summed(const Call& call, const Tensor& bytes) {
  Tensor sent = bytes;
  ranks_.broadcast(sent, 0);
  int64_t begin = 0;
  const std::vector<int64_t> routes = {call.tokens, config_.n_experts_per_tok};
  const Tensor experts = take_numbers(bytes, begin, routes, at::kLong);
  const Tensor weights = take_numbers(bytes, begin, routes, at::kFloat);
  const Tensor x = take_numbers(bytes, begin, {call.tokens, config_.dim},
                                static_cast<at::ScalarType>(call.type));
  Tensor sum = own_results(x, experts, weights, stacks_.at(static_cast<size_t>(call.stack)));
  ranks_.start_sum(sum)->wait();
  return sum;
}

// The part of the mixture that the experts here add, [N,D] fp32.
Tensor DividedExperts::own_results(const Tensor& x, const Tensor& experts, const Tensor& weights,
                                   const Stack& stack) const {
  const Tensor own = (experts - share_.begin).flatten();
  const Tensor slots = own.ge(0).logical_and(own.lt(share_.count)).nonzero().squeeze(1);  // [R]
  Tensor sum = at::zeros({x.size(0), x.size(1)}, x.options().dtype(at::kFloat));
  if (slots.numel() == 0) return sum;
  const Tensor tokens = slots.floor_divide(experts.size(1));
  const Tensor results =
      moe_swiglu(x.index_select(0, tokens), own.index_select(0, slots).unsqueeze(1),
                 weights.flatten().index_select(0, slots).unsqueeze(1), stack.gate_up, stack.down);
  return sum.index_add_(0, tokens, results.to(at::kFloat));
}

Tensor DividedExperts::mixture(const Tensor& x, const Tensor& experts, const Tensor& weights,
                               const Matrix& gate_up, const Matrix&) {
  const std::lock_guard lock(mutex_);
  const Call call{stack_of(gate_up), x.size(0), static_cast<int64_t>(x.scalar_type())};
  try {
    const Tensor bytes = packed_bytes(call);
    int64_t begin = 0;
    take_numbers(bytes, begin, experts.sizes(), at::kLong).copy_(experts);
    take_numbers(bytes, begin, weights.sizes(), at::kFloat).copy_(weights);
    take_numbers(bytes, begin, x.sizes(), x.scalar_type()).copy_(x);
    tell(call);
    return summed(call, bytes).to(x.scalar_type());
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    // The others are in the midst of it, so no text can go on.
    fail(ErrorKind::resources,
         std::string("a mixture of divided experts failed: ") + split(error.what(), '\n')[0]);
  }
}

void run_with(DividedExperts* experts, const Weights& weights, const std::function<void()>& work) {
  experts ? experts->run(weights, work) : work();
}

}  // namespace mythos
