#pragma once
#include <cstdint>
#include <string>

#include "config/train_config.h"

namespace mythos {

// How inference stores the weights of matrix products. int8 and int4 round groups of kWeightGroup
// neighbours in a row to whole multiples of one bf16 scale: 8.5 and 4.5 bits for each weight.
enum class WeightFormat { plain, int8, int4 };

// The type in which a cache stores its numbers; `automatic` is the compute type. int8 keeps an fp32
// scale for each latent and rotated key (mla), or for each key and value head (gqa); int4 a bf16
// scale for every 32 numbers of those.
enum class CacheType { automatic, fp32, bf16, int8, int4 };

// Which loops of the core have keys and values of their own.
enum class CacheSharing {
  per_loop,   // each loop attends to what the same loop left of earlier tokens: exact
  last_loop,  // every loop attends to what the last loop left of them (Geiping et al. 2025,
              // section 6): 1/T of the memory
  average,    // every loop attends to the mean over the loops
  modulo,     // loop t attends to what the newest loop congruent to t modulo cache_modulo left
  low_rank,   // each loop attends to its own keys as few numbers of a token give them, by a basis
              // across the loops that was fitted to the model (model/cross_loop.h)
};

// The rule by which a token stops before its last loop. The state of a token that has stopped does
// not change, and its keys and values of the loop in which it stopped serve the later loops.
enum class ExitRule {
  none,
  // The halting head's probabilities have summed up to the configuration's act_threshold. With
  // halting = act they stop a token whatever the rule.
  halting,
  latent,  // ‖h'−h‖/‖h‖ of the last loop is below the threshold (Geiping et al. 2025, section 6)
  kl,  // KL(p' ‖ p) of the next-token distributions after the last two loops, in nats, is
       // below the threshold; each loop costs a pass through coda and head
  // Ouro's gate: the exit distribution has summed up to exit_quantile (Zhu et al. 2025).
  gate,
  // Huginn's criteria, as its code defines them (Geiping et al. 2025; model/exit_criteria.h).
  entropy_diff,
  latent_diff,
  cosine,
  huginn_kl,
  minp_kl,
  argmax_stability,
};

template <>
struct EnumNames<WeightFormat> {
  static constexpr std::array<std::string_view, 3> names = {"plain", "int8", "int4"};
};
template <>
struct EnumNames<CacheType> {
  static constexpr std::array<std::string_view, 5> names = {"auto", "fp32", "bf16", "int8", "int4"};
};
template <>
struct EnumNames<CacheSharing> {
  static constexpr std::array<std::string_view, 5> names = {"per-loop", "last", "average", "modulo",
                                                            "low-rank"};
};
template <>
struct EnumNames<ExitRule> {
  static constexpr std::array<std::string_view, 11> names = {
      "none",      "halting",      "latent",          "kl",
      "gate",      "entropy-diff", "latent-diff",     "cosine",
      "huginn-kl", "minp-kl",      "argmax-stability"};
};

struct CacheOptions {
  CacheSharing sharing = CacheSharing::per_loop;
  CacheType type = CacheType::automatic;
  int64_t modulo = 4;  // modulo: loops that have keys of their own
  std::string basis;   // low_rank: the file that mythos fit-cache wrote

  // The loops with keys of their own when so many are run.
  int64_t own_loops(int64_t loops) const {
    if (sharing == CacheSharing::modulo) return loops < modulo ? loops : modulo;
    return sharing == CacheSharing::per_loop ? loops : 1;
  }
  bool operator==(const CacheOptions&) const = default;
};

// How a trained model computes the next token: the table [decode], and the options of the verbs
// that decode (config/key_options.h).
struct DecodeConfig {
  ComputeType compute_type = ComputeType::automatic;
  WeightFormat weights = WeightFormat::plain;
  CacheOptions cache;
  ExitRule exit = ExitRule::none;
  double exit_threshold = -1;   // of rules with has_threshold(); below 0: threshold() of the rule
  double exit_quantile = 1;     // gate: share of the exit distribution
  bool warm_start = false;      // a token's first state is the last one of that before
  int64_t state_seed = 0;       // of random first states
  double state_scale = 1;       // factor of random first states; 0: zero states
  int64_t latent_steps = 0;     // latent thoughts between the prompt and the text (COCONUT)
  int64_t prefill_chunk = 512;  // tokens of one forward pass: bounds the memory of a long prompt

  // Whether the exit rule compares with exit_threshold.
  bool has_threshold() const {
    return exit != ExitRule::none && exit != ExitRule::halting && exit != ExitRule::gate;
  }
  // What the rule compares with. The defaults of latent and kl are those at which text does not get
  // worse (man/mythos-generate.1 says how they were compared), the others those of Huginn's code.
  double threshold() const {
    if (exit == ExitRule::gate) return exit_quantile;
    if (exit_threshold >= 0) return exit_threshold;
    switch (exit) {
      case ExitRule::latent_diff:
        return 0.03;
      case ExitRule::kl:
      case ExitRule::entropy_diff:
      case ExitRule::cosine:
      case ExitRule::huginn_kl:
        return 0.001;
      case ExitRule::minp_kl:
        return 1e-5;
      case ExitRule::argmax_stability:
        return 5;
      default:
        return 0.05;
    }
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f);
  void validate() const;
  bool operator==(const DecodeConfig&) const = default;
};

template <class Self, class F>
void DecodeConfig::visit(Self& self, F&& f) {
  f(Field{"dtype", "type of matrix products (auto is bf16 on CUDA and fp32 on a CPU)"},
    self.compute_type);
  f(Field{"weights", "how weights are held (int8 and int4 are rounded in groups of 32)"},
    self.weights);
  f(Field{"cache_type", "how keys and values are held (auto is as dtype)"}, self.cache.type);
  f(Field{"cache_sharing",
          "keys and values that serve a loop (its own are exact; the last loop's, or the average, "
          "take the memory of one loop; low-rank that of its --cache-basis)"},
    self.cache.sharing);
  f(Field{"cache_modulo", "loops that have keys of their own, with modulo", 1, 1 << 20},
    self.cache.modulo);
  f(Field{"cache_basis", "file that mythos fit-cache wrote, with low-rank"}, self.cache.basis);
  f(Field{"exit", "rule that ends the loops of a token early"}, self.exit);
  f(Field{"exit_threshold",
          "value of the exit rule below which loops end (argmax-stability: at which); -1 is the "
          "rule's own",
          -1, 1e9},
    self.exit_threshold);
  f(Field{"exit_quantile", "share of the exit distribution at which loops end, with gate", 0, 1},
    self.exit_quantile);
  f(Field{"warm_start", "begin a token's loops with the last state of the token before"},
    self.warm_start);
  f(Field{"state_seed", "seed of random first states", 0, 2147483647}, self.state_seed);
  f(Field{"state_scale", "factor of random first states; 0: zero", 0, 1e6}, self.state_scale);
  f(Field{"latent_steps", "latent thoughts between the prompt and the text", 0, 1 << 20},
    self.latent_steps);
  f(Field{"prefill_chunk", "prompt tokens of one forward pass", 1, 1 << 30}, self.prefill_chunk);
}

}  // namespace mythos
