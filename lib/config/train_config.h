#pragma once
#include <cstdint>
#include <string>

#include "config/field.h"
#include "config/packing.h"

namespace mythos {

enum class Schedule { cosine, linear_cooldown, constant, wsd, inverse_sqrt };
enum class Optimizer { adamw, muon };
enum class LoopSampling { poisson, uniform, fixed, lognormal_poisson, set };
enum class LoopsPer { step, sequence };
enum class LoopCurriculum { none, linear, one_minus_sqrt };
enum class ComputeType { automatic, fp32, bf16, fp16, tf32 };
enum class DocumentMask { automatic, on, off };
enum class Recompute { none, loop, block };
enum class OnBlowUp { stop, warn };
// What each of many ranks holds. The step's result does not depend on it.
enum class Layout {
  replicated,         // weights, gradients and optimizer state whole
  sharded_optimizer,  // weights whole; a share of the optimizer state (ZeRO, stage 1)
  fully_sharded,      // a share of all three; a block's weights are gathered while it computes
};

template <>
struct EnumNames<Schedule> {
  static constexpr std::array<std::string_view, 5> names = {"cosine", "linear-cooldown", "constant",
                                                            "wsd", "inverse-sqrt"};
};
template <>
struct EnumNames<Optimizer> {
  static constexpr std::array<std::string_view, 2> names = {"adamw", "muon"};
};
template <>
struct EnumNames<LoopSampling> {
  static constexpr std::array<std::string_view, 5> names = {"poisson", "uniform", "fixed",
                                                            "lognormal-poisson", "set"};
};
template <>
struct EnumNames<LoopsPer> {
  static constexpr std::array<std::string_view, 2> names = {"step", "sequence"};
};
template <>
struct EnumNames<LoopCurriculum> {
  static constexpr std::array<std::string_view, 3> names = {"none", "linear", "1-sqrt"};
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

template <>
struct EnumNames<Layout> {
  static constexpr std::array<std::string_view, 3> names = {"replicated", "sharded-optimizer",
                                                            "fully-sharded"};
};

// How a model is trained. One step takes batch_size·grad_accum sequences of seq_len tokens.
struct TrainConfig {
  int64_t steps = 1000;
  // The length of the run instead of `steps`: "10Gt" tokens, "5e" epochs, "1e18f" FLOPs, or a
  // number of steps; empty: `steps` counts.
  std::string length;
  int64_t batch_size = 8;  // sequences of one micro-batch
  int64_t seq_len = 256;   // tokens
  int64_t grad_accum = 1;  // micro-batches of one optimizer step
  Packing packing = Packing::contiguous;
  DocumentMask document_mask = DocumentMask::automatic;  // attention within documents only

  Optimizer optimizer = Optimizer::adamw;
  double lr = 3e-3;       // peak
  double muon_lr = 0.02;  // peak of the matrices that muon updates
  double muon_momentum = 0.95;
  int64_t lr_base_width = 0;  // matrices take base/dim of the rate in wider models; 0: as they are
  // Rates, decays and schedules of tensors by name (param_groups.h): "PATTERN lr=FACTOR …; …".
  std::string param_groups;
  double min_lr_ratio = 0.1;  // last learning rate as a share of the peak
  int64_t warmup_steps = 50;
  Schedule schedule = Schedule::cosine;
  double cooldown_fraction = 0.4;  // linear-cooldown, wsd: share of the steps that falls to the end
  double beta1 = 0.9;
  double beta2 = 0.95;
  double adam_eps = 1e-8;
  double weight_decay = 0.1;    // of matrices only
  bool cautious_decay = false;  // decay only where it agrees with the update
  double ema_decay = 0;         // of the average of the weights that is kept beside; 0: none
  double clip_norm = 1.0;       // largest gradient norm; 0 turns clipping off
  // What to do at a loss that is finite but far above earlier ones.
  OnBlowUp on_blow_up = OnBlowUp::stop;
  // Steps skipped in a row, at most, whose gradients are not finite or which deviate; 0: none.
  int64_t skip_steps = 0;
  // Standard deviations above their recent mean at which a loss or a gradient norm deviates; 0:
  // only what is not finite is skipped.
  double skip_deviations = 0;
  int64_t rollbacks = 0;            // returns to the last healthy checkpoint instead of ending
  double rollback_lr_factor = 0.5;  // of the learning rate after each return

  // What is trained: tensors of these names (globs with * and ?, separated by spaces) stay as they
  // are.
  std::string freeze;
  // LoRA (Hu et al. 2022): the rank of the update that the matrices of tune_matrices learn while
  // the weights themselves stay; 0: the weights are trained.
  int64_t tune_rank = 0;
  double tune_alpha = 16;
  std::string tune_matrices = "*";

  LoopSampling loop_sampling = LoopSampling::poisson;
  double mean_loops = 0;          // 0 means the model's max_loop_iters
  int64_t max_sampled_loops = 0;  // 0 means twice the mean
  double loop_sigma = 0.5;        // lognormal-poisson: standard deviation of the logarithm
  std::string loop_set;           // set: the counts, "1 2 4 8", equally likely
  LoopsPer loops_per = LoopsPer::step;
  // The last loops whose gradients are computed; 0: all; -1: half the mean where that is possible
  // (backprop_loops()).
  int64_t backprop_loops = -1;
  LoopCurriculum loop_curriculum = LoopCurriculum::none;  // growth of the mean from 1
  double loop_curriculum_fraction = 0.5;                  // share of the steps in which it grows
  double balance_rate = 1e-3;  // step of the router bias towards even load; 0 turns it off

  ComputeType compute_type = ComputeType::automatic;
  // In fp16 the loss is multiplied by a scale, so that gradients do not vanish; four keys set it.
  double loss_scale = 65536;  // of the first step
  double loss_scale_growth = 2;
  double loss_scale_backoff = 0.5;
  int64_t loss_scale_interval = 2000;     // steps with finite gradients between two growths
  Recompute recompute = Recompute::none;  // what the backward pass computes again to save memory
  Layout layout = Layout::replicated;
  // Neighbouring ranks that divide the experts of every mixture among them; 1: each has all.
  int64_t expert_ranks = 1;
  int64_t bucket_bytes = 25 << 20;  // gradients that are summed over ranks in one message
  int64_t seed = 1;
  int64_t log_every = 10;      // steps
  int64_t val_every = 100;     // steps; 0 validates only at the end
  int64_t val_tokens = 65536;  // tokens of one validation; 0 means the whole split
  int64_t save_every = 200;    // steps; 0 saves only at the end
  int64_t keep_last = 3;       // checkpoints kept; 0 keeps all
  int64_t keep_every = 0;      // steps whose multiples are kept as well; 0: none
  double max_hours = 0;        // time after which the run saves and ends; 0: none
  bool tensorboard = false;    // metrics to RUN/tensorboard as well
  bool prometheus = false;     // newest metrics to RUN/metrics.prom as well
  // 1e12 FLOPs a second of one device at its best, for the share that training reaches; 0: those of
  // a GPU whose data sheet is known, else no share is told.
  double peak_tflops = 0;

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
  f(Field{"length", "length instead of steps: 10Gt tokens, 5e epochs, 1e18f FLOPs"}, self.length);
  f(Field{"batch_size", "sequences of a micro-batch", 1, 1 << 20}, self.batch_size);
  f(Field{"seq_len", "tokens of a sequence", 1, 1 << 24}, self.seq_len);
  f(Field{"grad_accum", "micro-batches of a step", 1, 1 << 20}, self.grad_accum);
  f(Field{"packing", "how documents become sequences"}, self.packing);
  f(Field{"document_mask", "attention within documents (auto means with best-fit)"},
    self.document_mask);
  f(Field{"optimizer", "adamw, or muon for hidden matrices and adamw for the rest"},
    self.optimizer);
  f(Field{"lr", "peak learning rate", 0, 10}, self.lr);
  f(Field{"muon_lr", "peak learning rate of muon's matrices", 0, 10}, self.muon_lr);
  f(Field{"muon_momentum", "momentum of muon", 0, 0.99999}, self.muon_momentum);
  f(Field{"lr_base_width", "width up to which matrices keep their rate; 0: at any", 0, 1 << 20},
    self.lr_base_width);
  f(Field{"param_groups",
          "rates, decays, schedules by tensor: \"PATTERN lr=FACTOR decay=VALUE; ...\""},
    self.param_groups);
  f(Field{"min_lr_ratio", "last learning rate as a share of the peak", 0, 1}, self.min_lr_ratio);
  f(Field{"warmup_steps", "steps of linear warm-up", 0, kMax}, self.warmup_steps);
  f(Field{"schedule", "learning-rate schedule"}, self.schedule);
  f(Field{"cooldown_fraction", "share of steps in the cooldown (linear-cooldown, wsd)", 0, 1},
    self.cooldown_fraction);
  f(Field{"beta1", "AdamW first moment decay", 0, 0.99999}, self.beta1);
  f(Field{"beta2", "AdamW second moment decay", 0, 0.99999}, self.beta2);
  f(Field{"adam_eps", "AdamW epsilon", 1e-20, 1}, self.adam_eps);
  f(Field{"weight_decay", "decoupled weight decay of matrices", 0, 10}, self.weight_decay);
  f(Field{"cautious_decay", "decay only where it agrees with the update"}, self.cautious_decay);
  f(Field{"ema_decay", "decay of the averaged weights kept beside; 0: none", 0, 0.999999},
    self.ema_decay);
  f(Field{"clip_norm", "largest gradient norm; 0 turns clipping off", 0, 1e9}, self.clip_norm);
  f(Field{"on_blow_up", "when the loss is far above its lowest: end the run, or only warn"},
    self.on_blow_up);
  f(Field{"skip_steps", "bad steps skipped in a row, at most; 0: none", 0, 1 << 20},
    self.skip_steps);
  f(Field{"skip_deviations", "deviations from the recent mean that are skipped; 0: none", 0, 1e6},
    self.skip_deviations);
  f(Field{"rollbacks", "returns to the last healthy checkpoint before the run ends", 0, 1000},
    self.rollbacks);
  f(Field{"rollback_lr_factor", "factor of the learning rate at each return", 0, 1},
    self.rollback_lr_factor);
  f(Field{"freeze", "tensors that stay as they are: globs of names"}, self.freeze);
  f(Field{"tune_rank", "rank of the low-rank update that is trained instead; 0: none", 0, 1 << 16},
    self.tune_rank);
  f(Field{"tune_alpha", "scale of the low-rank update, divided by its rank", 0, 1e6},
    self.tune_alpha);
  f(Field{"tune_matrices", "matrices that have a low-rank update: globs of names"},
    self.tune_matrices);
  f(Field{"loop_sampling", "loop count of a training step"}, self.loop_sampling);
  f(Field{"mean_loops", "mean loop count; 0 means max_loop_iters", 0, 1 << 20}, self.mean_loops);
  f(Field{"max_sampled_loops", "largest sampled count; 0 means twice the mean", 0, 1 << 20},
    self.max_sampled_loops);
  f(Field{"loop_sigma", "lognormal-poisson: deviation of the logarithm", 0, 10}, self.loop_sigma);
  f(Field{"loop_set", "set: the loop counts that are drawn, such as \"1 2 4 8\""}, self.loop_set);
  f(Field{"loops_per", "what a loop count is drawn for"}, self.loops_per);
  f(Field{"backprop_loops", "last loops with gradients; 0: all, -1: half the mean", -1, 1 << 20},
    self.backprop_loops);
  f(Field{"loop_curriculum", "how the mean loop count grows from 1"}, self.loop_curriculum);
  f(Field{"loop_curriculum_fraction", "share of steps in which it grows", 0, 1},
    self.loop_curriculum_fraction);
  f(Field{"balance_rate", "step of the router bias towards even load", 0, 1}, self.balance_rate);
  f(Field{"compute_type", "type of matrix products"}, self.compute_type);
  f(Field{"loss_scale", "fp16: the loss's first factor", 1, 1LL << 40}, self.loss_scale);
  f(Field{"loss_scale_growth", "fp16: factor of a growth of the scale", 1, 1024},
    self.loss_scale_growth);
  f(Field{"loss_scale_backoff", "fp16: factor after gradients that overflow", 1e-3, 0.999},
    self.loss_scale_backoff);
  f(Field{"loss_scale_interval", "fp16: finite steps before the scale grows", 1, 1 << 30},
    self.loss_scale_interval);
  f(Field{"recompute", "activations computed again in the backward pass"}, self.recompute);
  f(Field{"layout", "what each of many ranks holds"}, self.layout);
  f(Field{"expert_ranks", "ranks that divide the experts among them; 1: each has all", 1, 1 << 20},
    self.expert_ranks);
  f(Field{"bucket_bytes", "bytes of gradients summed over ranks in one message", 1, kMax},
    self.bucket_bytes);
  f(Field{"seed", "seed of weights, data order and loop counts", 0, 9e15}, self.seed);
  f(Field{"log_every", "steps between lines of metrics", 1, kMax}, self.log_every);
  f(Field{"val_every", "steps between validations; 0: only at the end", 0, kMax}, self.val_every);
  f(Field{"val_tokens", "tokens of one validation; 0: all", 0, kMax}, self.val_tokens);
  f(Field{"save_every", "steps between checkpoints; 0: only at the end", 0, kMax}, self.save_every);
  f(Field{"keep_last", "checkpoints kept; 0 keeps all", 0, kMax}, self.keep_last);
  f(Field{"keep_every", "checkpoints of these steps are kept too; 0: none", 0, kMax},
    self.keep_every);
  f(Field{"max_hours", "hours after which the run saves and ends; 0: none", 0, 1e6},
    self.max_hours);
  f(Field{"tensorboard", "metrics to RUN/tensorboard as well"}, self.tensorboard);
  f(Field{"prometheus", "newest metrics to RUN/metrics.prom as well"}, self.prometheus);
  f(Field{"peak_tflops", "10^12 FLOP/s of a device at its best; 0: a known GPU's", 0, 1e9},
    self.peak_tflops);
}

}  // namespace mythos
