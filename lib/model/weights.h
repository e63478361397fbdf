#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "arch/tensors.h"
#include "config/model_config.h"
#include "ops/linear/matrix.h"

namespace mythos {

using at::Tensor;

// A shape as messages show it, "[2,3]".
std::string shape_text(at::IntArrayRef shape);

// Fills a CPU tensor in fp32 as the declaration and the keys of initial values say; `stream` is of
// the random numbers of `seed`. model.matrix_init = orthogonal makes each hidden matrix (each of
// the parts of a tensor, each expert's) the orthogonal factor of a normal one (Saxe et al. 2014),
// whose rows or columns, the fewer, are at right angles; its root mean square is init_std as that
// of normal values. model.residual_init then makes the matrices that write into the residual stream
// 0, or scales them by 1/(N·sqrt(L)): N = max_loop_iters within the core and 1 elsewhere, L = the
// layers of prelude, core and coda together.
void set_initial_value(const TensorDeclaration& declaration, const ModelConfig& config,
                       uint64_t seed, uint64_t stream, Tensor value);

// A low-rank update of a matrix W [N,K], trained in its stead: computing reads W + scale·b·a (LoRA,
// Hu et al. 2022).
struct LowRankUpdate {
  Tensor a, b;  // [r,K], [N,r], fp32
  double scale = 1;
};

// Makes the values of a tensor, as a file holds them, on the CPU and in any floating-point type.
using StoredTensor = std::function<Tensor()>;
using StoredTensors = std::map<std::string, StoredTensor>;

// What Parameters::initialize() fills a model's tensors with.
StoredTensors initial_values(const ModelConfig& config, uint64_t seed);

// When parameters get memory for their values: with their shapes, or when these are known.
enum class ParameterMemory { at_once, later };

// The stored tensors of one model, in fp32, in the order of their declarations.
class Parameters {
 public:
  struct Item : TensorDeclaration {
    Tensor tensor;
  };

  // Every tensor on the device, with requires_grad where trained; values undefined. Those that get
  // memory later (fill(), or set_memory() of ops/linear/weight.h) must not be read before.
  Parameters(const ModelConfig& config, at::Device device,
             ParameterMemory memory = ParameterMemory::at_once);

  // Tensors that are made when they are first asked for, items() all of them, without gradient. On
  // a CPU those that are cast (arch/declaration.h) keep the type and the memory of what `stored`
  // makes; the others become fp32. What one tensor was made from is let go of then. Fails (data) as
  // load() does, about shapes only when they are made.
  Parameters(const ModelConfig& config, at::Device device, StoredTensors stored,
             const std::string& origin);

  // Fills all values, or those of one tensor. The same seed gives the same values on every device.
  void initialize(const ModelConfig& config, uint64_t seed);
  void initialize(const ModelConfig& config, uint64_t seed, const std::string& name);

  const std::vector<Item>& items() const {
    make_all();
    return items_;
  }
  at::Device device() const { return device_; }
  // The tensors of items() by their place in the model.
  ModelTensors<Tensor, Tensor> tree(const ModelConfig& config) const;
  // Fails (internal) when there is no such name.
  const Tensor& at(const std::string& name) const;
  bool contains(const std::string& name) const { return index_.count(name) > 0; }
  // Gives a matrix a low-rank update, which weights made for training, and merged(), then have.
  void set_update(const std::string& name, LowRankUpdate update);
  const std::map<std::string, LowRankUpdate>& updates() const { return updates_; }
  // What computing reads: the tensor itself or, with a low-rank update, the sum of both.
  Tensor merged(const std::string& name) const;
  // Gives a tensor the values that another model's parameters have, or make, for it, and memory if
  // it has none. The others let go of theirs.
  void fill(const std::string& name, Parameters& values);
  // Keeps parts begin … begin+count-1 of a tensor's first dimension alone, in memory of their own;
  // one that is still to be made, or to get memory, is left to that.
  void keep_part(const std::string& name, int64_t begin, int64_t count);
  // Lets go of one tensor's memory; it must not be used again.
  void release(const std::string& name);
  // Copies values in. Fails (data), naming the tensor and `origin`, when a name is missing or
  // unknown, or a shape differs.
  void load(const std::map<std::string, Tensor>& values, const std::string& origin);
  // load() for computing without gradient: fp32 values on this device are shared, not copied.
  void adopt(const std::map<std::string, Tensor>& values, const std::string& origin);

 private:
  // The values by item; fails as load() does.
  std::vector<const Tensor*> match(const std::map<std::string, Tensor>& values,
                                   const std::string& origin) const;

  // Fails (data) unless `stored` has the names of items_.
  void require_names(const std::vector<std::string>& stored, const std::string& origin) const;
  void make(size_t item) const;
  void make_all() const;

  at::Device device_;
  mutable std::vector<Item> items_;
  mutable StoredTensors stored_;  // of items that were not asked for yet
  std::string origin_;            // of stored_
  std::map<std::string, size_t> index_;
  std::map<std::string, LowRankUpdate> updates_;
};

// Parameters made ready for computing: matrices cast to the compute type (or as StoredBf16 says),
// vectors left in fp32.
// Made once per micro-batch (the matrices are shared weights of its graph, ops/linear/weight.h) or
// once per inference session. Hidden widths of dense layers and shared experts are those of the
// configuration, filled up with zeros to a multiple of width_multiple() (ops/linear/weight.h).
// Members that a configuration lacks are undefined; a tied head that is not rounded is `embed`.
struct Weights : ModelTensors<Tensor, Matrix> {
  at::ScalarType compute_type = at::kFloat;
  double logit_softcap = 0;  // of the configuration
};
using LayerWeights = LayerTensors<Tensor, Matrix>;
using CoreWeights = CoreTensors<Tensor, Matrix>;

// What becomes of matrices that a file has in bf16 where products are in fp32: cast makes a copy in
// fp32; kept ones stay as they lie, and every product widens what it reads. A bf16 number is an
// fp32 one, so results are those of the copy.
enum class StoredBf16 { cast, kept };

// kept where the user leaves the type to this program and it is fp32, on a CPU.
StoredBf16 stored_bf16(ComputeType type, at::Device device);

// Hidden widths are padded to `multiple` where it is given, for tests.
Weights make_weights(const ModelConfig& config, const Parameters& parameters,
                     at::ScalarType compute_type, std::optional<int64_t> multiple = {},
                     StoredBf16 stored = StoredBf16::cast);

// Gives a weight that make_weights() has made its values: those that the parameter of this
// declaration has now. Autograd does not notice.
void fill_weight(const TensorDeclaration& declaration, const Tensor& parameter,
                 const Tensor& weight);

// Makes one parameter ready to be read, where values are filled in as late as that.
using PrepareParameter = std::function<void(Parameters& parameters, const std::string& name)>;

// For inference alone: the Matrix members are rounded to `format`, the head to int8 where that is
// int4. Takes the parameters, whose values are lost: the memory of each goes back piece by
// piece while it is cast or rounded, so that both are never there whole. Without gradient.
Weights make_inference_weights(const ModelConfig& config, Parameters&& parameters,
                               at::ScalarType compute_type, WeightFormat format,
                               const PrepareParameter& prepare = {},
                               StoredBf16 stored = StoredBf16::cast);

// The memory of all weights; a head that is the embedding counts once.
int64_t size_bytes(const ModelConfig& config, const Weights& weights);

}  // namespace mythos
