#include "train/gradient_hook.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

namespace mythos {
namespace {

class Hook final : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit Hook(std::function<void()> then) : then_(std::move(then)) {}
  void operator()(const torch::autograd::Variable&) override { then_(); }

 private:
  std::function<void()> then_;
};

}  // namespace

void after_gradient(const at::Tensor& parameter, std::function<void()> then) {
  torch::autograd::impl::set_post_acc_grad_hooks(
      parameter, then ? std::make_unique<Hook>(std::move(then)) : nullptr);
}

}  // namespace mythos
