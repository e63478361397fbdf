#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "config/model_config.h"

// How a part of the model declares its tensors. Every part is a template over what stands for a
// tensor, T, and for a matrix that --weights may round, M. Its visit(self, config, f) calls
// f(member, declaration) for the members that the configuration has, in the order of checkpoints;
// the other members stay as they were made. `self` may be const. Allocation, initial values, names
// in checkpoints, costs, optimizer groups, casting, rounding and the inputs of recomputation all
// follow from these lists: a tensor is added to its part and nowhere else.
namespace mythos {

// What reads a tensor, and so how it is stored, computed with and trained.
enum class Use {
  product,        // a matrix product: cast to the compute type, decayed, rounded by --weights
  experts,        // a stack of products, of which a token uses n_experts_per_tok
  head,           // the product that gives logits: int8 where the other products are int4
  exact_product,  // a product that is cast and decayed, never rounded
  fp32_product,   // a small product that stays in fp32, not decayed
  lookup,         // a row for each token: cast and decayed; the head's product when that is tied
  table,          // a row for each token: cast, decayed and rounded; no product reads it
  loop_table,     // a row for each loop, in fp32
  vector,         // fp32, not decayed
  buffer,         // fp32, saved, without gradient
};
constexpr bool is_trained(Use use) {
  return use != Use::buffer;
}
// Whether computing reads a copy in the compute type.
constexpr bool is_cast(Use use) {
  return use == Use::product || use == Use::experts || use == Use::head ||
         use == Use::exact_product || use == Use::lookup || use == Use::table;
}
// Whether weight decay shrinks it.
constexpr bool is_decayed(Use use) {
  return is_cast(use);
}
// Whether --weights may round it: such members are of type M.
constexpr bool is_rounded(Use use) {
  return use == Use::product || use == Use::experts || use == Use::head || use == Use::table;
}

enum class Init {
  normal,  // N(0, init_std²)
  ones,
  zeros,
  injection_gain,  // 0.1
  identity_tail,   // the last dim columns are the identity, the rest 0: the injected input is e
  halt_bias,       // uniform in ±1/sqrt(dim), or that of model.halt_loops
};

// Which side of a matrix is the hidden width of a dense feed-forward, which some devices pad: the
// rows of gate_up [2F,D], two parts, or of up [F,D], one; or the columns of down [D,F].
enum class HiddenSide { none, rows, columns };

struct TensorDeclaration {
  std::string name;
  std::vector<int64_t> shape;
  Use use = Use::product;
  Init init = Init::normal;
  std::string part = {};  // what it counts with in `mythos plan`
  HiddenSide hidden = HiddenSide::none;
  bool in_loop = false;  // read once in every loop
  // The matrices that lie one below another in each [rows,columns] of the tensor, by their numbers
  // of rows; the list repeats down to the last row. Empty: one matrix.
  std::vector<int64_t> parts = {};
  bool low_rank = false;  // one factor of a low-rank product
  // Whether its product is added to the state: model.residual_init sets its first values.
  bool writes_residual = false;

  // Fails (usage) where the number needs more than 63 bits.
  int64_t numel() const;
};

// Whether the tensor holds hidden matrices, which map one hidden state to another: those that
// train.optimizer = "muon" updates. Embedding, head, router and low-rank factors are none.
inline bool is_hidden_matrix(const TensorDeclaration& tensor) {
  return (tensor.use == Use::product || tensor.use == Use::experts ||
          tensor.use == Use::exact_product) &&
         !tensor.low_rank;
}

// f for the members of a part: their names begin with `prefix`, and they count with `part` unless
// they name another.
template <class F>
auto within(F& f, std::string prefix, std::string part = {}) {
  return [&f, prefix = std::move(prefix), part = std::move(part)](auto& member,
                                                                  TensorDeclaration declaration) {
    declaration.name = prefix + declaration.name;
    if (declaration.part.empty()) declaration.part = part;
    f(member, std::move(declaration));
  };
}

// The sizes of a number that is not in the compute type, and of an index.
constexpr int64_t kFloatBytes = 4, kIndexBytes = 8;

// Stands for T and M where only the declarations are wanted.
struct NoTensor {};

// The declarations of a part: declarations_of<LayerTensors>(config, layer).
template <template <class, class> class Part, class... Arguments>
std::vector<TensorDeclaration> declarations_of(const Arguments&... arguments) {
  std::vector<TensorDeclaration> found;
  Part<NoTensor, NoTensor> part;
  Part<NoTensor, NoTensor>::visit(
      part, arguments..., [&](NoTensor&, TensorDeclaration d) { found.push_back(std::move(d)); });
  return found;
}

}  // namespace mythos
