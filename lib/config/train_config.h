#pragma once
#include <cstdint>
#include <string>

#include "config/field.h"
#include "config/packing.h"

namespace mythos {

enum class Schedule { cosine, linear_cooldown, constant };
enum class LoopSampling { poisson, uniform, fixed };
enum class ComputeType { automatic, fp32, bf16, fp16, tf32 };
enum class DocumentMask { automatic, on, off };
enum class Recompute { none, loop, block };
enum class OnBlowUp { stop, warn };

template <>
struct EnumNames<Schedule> {
  static constexpr std::array<std::string_view, 3> names = {"cosine", "linear-cooldown",
                                                            "constant"};
};
template <>
struct EnumNames<LoopSampling> {
  static constexpr std::array<std::string_view, 3> names = {"poisson", "uniform", "fixed"};
};
template <>
struct EnumNames<ComputeType> {
  static constexpr std::array<std::string_view, 5> names = {"auto", "fp32", "bf16", "fp16", "tf32"};
};
template <>
struct EnumNames<DocumentMask> {
  static constexpr std::array<std::string_view, 3> names = {"auto", "on", "off"};
};
template <>
struct EnumNames<Recompute> {
  static constexpr std::array<std::string_view, 3> names = {"none", "loop", "block"};
};

template <>
struct EnumNames<OnBlowUp> {
  static constexpr std::array<std::string_view, 2> names = {"stop", "warn"};
};

// How a model is trained. One step takes batch_size·grad_accum sequences of seq_len tokens.
struct TrainConfig {
  int64_t steps = 1000;
  int64_t batch_size = 8;  // sequences of one micro-batch
  int64_t seq_len = 256;   // tokens
  int64_t grad_accum = 1;  // micro-batches of one optimizer step
  Packing packing = Packing::contiguous;
  DocumentMask document_mask = DocumentMask::automatic;  // attention within documents only

  double lr = 3e-3;           // peak
  double min_lr_ratio = 0.1;  // last learning rate as a share of the peak
  int64_t warmup_steps = 50;
  Schedule schedule = Schedule::cosine;
  double cooldown_fraction = 0.4;  // linear-cooldown: share of the steps that falls to the end
  double beta1 = 0.9;
  double beta2 = 0.95;
  double adam_eps = 1e-8;
  double weight_decay = 0.1;  // of matrices only
  double clip_norm = 1.0;     // largest gradient norm; 0 turns clipping off
  // What to do at a loss that is finite but far above earlier ones.
  OnBlowUp on_blow_up = OnBlowUp::stop;

  LoopSampling loop_sampling = LoopSampling::poisson;
  double mean_loops = 0;          // 0 means the model's max_loop_iters
  int64_t max_sampled_loops = 0;  // 0 means twice the mean
  double balance_rate = 1e-3;     // step of the router bias towards even load; 0 turns it off
  double ponder_cost = 0;         // weight of the expected number of loops in the loss (act)

  ComputeType compute_type = ComputeType::automatic;
  // In fp16 the loss is multiplied by a scale, so that gradients do not vanish; four keys set it.
  double loss_scale = 65536;  // of the first step
  double loss_scale_growth = 2;
  double loss_scale_backoff = 0.5;
  int64_t loss_scale_interval = 2000;     // steps with finite gradients between two growths
  Recompute recompute = Recompute::none;  // what the backward pass computes again to save memory
  int64_t seed = 1;
  int64_t log_every = 10;      // steps
  int64_t val_every = 100;     // steps; 0 validates only at the end
  int64_t val_tokens = 65536;  // tokens of one validation; 0 means the whole split
  int64_t save_every = 200;    // steps; 0 saves only at the end
  int64_t keep_last = 3;       // checkpoints kept; 0 keeps all

  // Whether attention stays within documents; `automatic` means so with best-fit packing only.
  bool masks_documents() const {
    return document_mask == DocumentMask::automatic ? packing == Packing::best_fit
                                                    : document_mask == DocumentMask::on;
  }
  int64_t tokens_per_step() const { return batch_size * seq_len * grad_accum; }

  template <class Self, class F>
  static void visit(Self& self, F&& f);
  void validate() const;
  bool operator==(const TrainConfig&) const = default;
};

template <class Self, class F>
void TrainConfig::visit(Self& self, F&& f) {
  constexpr double kMax = 1LL << 50;
  f(Field{"steps", "optimizer steps", 0, kMax}, self.steps);
  f(Field{"batch_size", "sequences of a micro-batch", 1, 1 << 20}, self.batch_size);
  f(Field{"seq_len", "tokens of a sequence", 1, 1 << 24}, self.seq_len);
  f(Field{"grad_accum", "micro-batches of a step", 1, 1 << 20}, self.grad_accum);
  f(Field{"packing", "how documents become sequences"}, self.packing);
  f(Field{"document_mask", "attention within documents (auto means with best-fit)"},
    self.document_mask);
  f(Field{"lr", "peak learning rate", 0, 10}, self.lr);
  f(Field{"min_lr_ratio", "last learning rate as a share of the peak", 0, 1}, self.min_lr_ratio);
  f(Field{"warmup_steps", "steps of linear warm-up", 0, kMax}, self.warmup_steps);
  f(Field{"schedule", "learning-rate schedule"}, self.schedule);
  f(Field{"cooldown_fraction", "share of steps in the linear cooldown", 0, 1},
    self.cooldown_fraction);
  f(Field{"beta1", "AdamW first moment decay", 0, 0.99999}, self.beta1);
  f(Field{"beta2", "AdamW second moment decay", 0, 0.99999}, self.beta2);
  f(Field{"adam_eps", "AdamW epsilon", 1e-20, 1}, self.adam_eps);
  f(Field{"weight_decay", "decoupled weight decay of matrices", 0, 10}, self.weight_decay);
  f(Field{"clip_norm", "largest gradient norm; 0 turns clipping off", 0, 1e9}, self.clip_norm);
  f(Field{"on_blow_up", "when the loss is far above its lowest: end the run, or only warn"},
    self.on_blow_up);
  f(Field{"loop_sampling", "loop count of a training step"}, self.loop_sampling);
  f(Field{"mean_loops", "mean loop count; 0 means max_loop_iters", 0, 1 << 20}, self.mean_loops);
  f(Field{"max_sampled_loops", "largest sampled count; 0 means twice the mean", 0, 1 << 20},
    self.max_sampled_loops);
  f(Field{"balance_rate", "step of the router bias towards even load", 0, 1}, self.balance_rate);
  f(Field{"ponder_cost", "weight of the expected loop count in the loss (act)", 0, 100},
    self.ponder_cost);
  f(Field{"compute_type", "type of matrix products"}, self.compute_type);
  f(Field{"loss_scale", "fp16: the loss's first factor", 1, 1LL << 40}, self.loss_scale);
  f(Field{"loss_scale_growth", "fp16: factor of a growth of the scale", 1, 1024},
    self.loss_scale_growth);
  f(Field{"loss_scale_backoff", "fp16: factor after gradients that overflow", 1e-3, 0.999},
    self.loss_scale_backoff);
  f(Field{"loss_scale_interval", "fp16: finite steps before the scale grows", 1, 1 << 30},
    self.loss_scale_interval);
  f(Field{"recompute", "activations computed again in the backward pass"}, self.recompute);
  f(Field{"seed", "seed of weights, data order and loop counts", 0, 9e15}, self.seed);
  f(Field{"log_every", "steps between lines of metrics", 1, kMax}, self.log_every);
  f(Field{"val_every", "steps between validations; 0: only at the end", 0, kMax}, self.val_every);
  f(Field{"val_tokens", "tokens of one validation; 0: all", 0, kMax}, self.val_tokens);
  f(Field{"save_every", "steps between checkpoints; 0: only at the end", 0, kMax}, self.save_every);
  f(Field{"keep_last", "checkpoints kept; 0 keeps all", 0, kMax}, self.keep_last);
}

}  // namespace mythos
