#include "ops/embed/embed.h"

#include <ATen/ATen.h>

#include "ops/autograd.h"
#include "ops/linear/weight.h"

namespace mythos {
namespace {

using at::Tensor;

std::vector<Tensor> embed_backward(const BackwardPass& pass) {
  const Tensor &w = pass.saved[0], &ids = pass.saved[1];
  Tensor& sum = *gradient_sum(w);
  if (!sum.defined()) sum = at::zeros(w.sizes(), w.options().dtype(at::kFloat));
  const Tensor d = pass.gradients[0].reshape({-1, w.size(1)});
  sum.index_add_(0, ids.flatten(), d.to(at::kFloat));
  return {Tensor()};
}

}  // namespace

Tensor embed(const Tensor& w, const Tensor& ids) {
  const bool adds = w.is_cpu() && wants_graph({&w}) && gradient_sum(w);
  if (!adds) return at::embedding(w, ids);
  return record_operation("EmbedBackward", {w}, [&] {
    return Operation{{at::embedding(w, ids)}, {w, ids}, embed_backward};
  })[0];
}

}  // namespace mythos
