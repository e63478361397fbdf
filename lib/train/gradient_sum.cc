#include "train/gradient_sum.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "arch/shard_layout.h"
#include "train/gradient_hook.h"

namespace mythos {

GradientSum::GradientSum(const Parameters& parameters, Ranks& ranks, int64_t bucket_bytes,
                         const RanksOf& ranks_of) {
  const std::vector<TrainedTensor> trained = trained_tensors(parameters);
  std::vector<std::string> names;
  for (const TrainedTensor& item : trained) names.push_back(item.name);
  std::vector<Bucket> open;  // one for each group of ranks
  for (const size_t i : backward_order(names)) {
    const TrainedTensor* item = &trained[i];
    Ranks* of = ranks_of ? &ranks_of(*item) : &ranks;
    if (of->size() == 1) continue;
    auto bucket = std::ranges::find(open, of, &Bucket::ranks);
    if (bucket != open.end() && bucket->bytes >= bucket_bytes) {
      buckets_.push_back(std::move(*bucket));
      open.erase(bucket);
      bucket = open.end();
    }
    if (bucket == open.end()) {
      open.emplace_back().ranks = of;
      bucket = open.end() - 1;
    }
    bucket->parameters.push_back(item->tensor);
    bucket->bytes += item->tensor.numel() * static_cast<int64_t>(item->tensor.element_size());
  }
  for (Bucket& bucket : open) buckets_.push_back(std::move(bucket));
  for (Bucket& bucket : buckets_) {
    for (const Tensor& parameter : bucket.parameters) {
      after_gradient(parameter, [this, &bucket] { complete(bucket); });
    }
  }
}

GradientSum::~GradientSum() {
  for (const Bucket& bucket : buckets_) {
    for (const Tensor& parameter : bucket.parameters) after_gradient(parameter, {});
  }
}

void GradientSum::begin_last_pass() {
  last_pass_ = true;
  next_ = 0;
  for (Bucket& bucket : buckets_) bucket.missing = bucket.parameters.size();
}

void GradientSum::complete(Bucket& bucket) {
  if (!last_pass_ || bucket.missing == 0) return;
  --bucket.missing;
  while (next_ < buckets_.size() && buckets_[next_].missing == 0) start(buckets_[next_++]);
}

void GradientSum::start(Bucket& bucket) {
  const at::NoGradGuard no_grad;
  std::vector<Tensor> flat;
  for (Tensor& parameter : bucket.parameters) {
    if (!parameter.grad().defined()) parameter.mutable_grad() = at::zeros_like(parameter);
    flat.push_back(parameter.grad().reshape(-1));
  }
  bucket.gradients = flat.size() == 1 ? flat[0] : at::cat(flat);
  bucket.pending = bucket.ranks->start_sum(bucket.gradients);
}

void GradientSum::take(Bucket& bucket) {
  bucket.pending->wait();
  bucket.pending.reset();
  int64_t begin = 0;
  for (Tensor& parameter : bucket.parameters) {
    parameter.mutable_grad() =
        bucket.gradients.narrow(0, begin, parameter.numel()).view(parameter.sizes());
    begin += parameter.numel();
  }
  bucket.gradients = Tensor();
}

void GradientSum::finish() {
  const at::NoGradGuard no_grad;
  overlapped_ = static_cast<int64_t>(next_);
  while (next_ < buckets_.size()) start(buckets_[next_++]);
  for (Bucket& bucket : buckets_) take(bucket);
  last_pass_ = false;
  next_ = 0;
}

}  // namespace mythos
