#include "model/weights.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "arch/halting.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/strings.h"
#include "ops/linear/weight.h"

namespace mythos {
namespace {

// Standard normal numbers by Box and Muller's method, the same on every device and with any number
// of threads: a pair takes two numbers of the stream, so its place in it is known.
void fill_normal(float* out, int64_t count, double deviation, uint64_t seed, uint64_t stream) {
  at::parallel_for(0, (count + 1) / 2, 1 << 14, [&](int64_t begin, int64_t end) {
    Rng rng(seed, stream, static_cast<uint64_t>(2 * begin));
    for (int64_t i = 2 * begin; i < 2 * end; i += 2) {
      const double radius = deviation * std::sqrt(-2.0 * std::log(1.0 - rng.uniform()));
      const double angle = 2.0 * M_PI * rng.uniform();
      out[i] = static_cast<float>(radius * std::cos(angle));
      if (i + 1 < count) out[i + 1] = static_cast<float>(radius * std::sin(angle));
    }
  });
}

// The orthogonal factor of a normal matrix [N,K]: its fewer rows or columns are orthonormal. With a
// positive diagonal of the triangular factor it is unique, and spread evenly over all such matrices
// (Mezzadri 2007).
Tensor orthogonal_factor(const Tensor& normal) {
  const bool tall = normal.size(0) >= normal.size(1);
  const Tensor wide = normal.to(at::kDouble);
  const auto [q, r] = at::linalg_qr(tall ? wide : wide.t());
  const Tensor factor = q * at::where(r.diagonal().lt(0), -1.0, 1.0);
  return tall ? factor : factor.t();
}

// Makes every matrix of normal values [N,K] or [E,N,K] orthogonal, with a root mean square of
// `rms`.
void make_orthogonal(const TensorDeclaration& declaration, double rms, const Tensor& values) {
  const Tensor stack = values.view({-1, values.size(-2), values.size(-1)});
  const std::vector<int64_t> whole = {values.size(-2)};
  const std::vector<int64_t>& parts = declaration.parts.empty() ? whole : declaration.parts;
  for (int64_t e = 0; e < stack.size(0); ++e) {
    int64_t begin = 0;
    for (size_t i = 0; begin < stack.size(1); ++i) {
      const Tensor part = stack[e].narrow(0, begin, parts[i % parts.size()]);
      const auto longer = static_cast<double>(std::max(part.size(0), part.size(1)));
      part.copy_(orthogonal_factor(part) * (rms * std::sqrt(longer)));
      begin += part.size(0);
    }
  }
}

// The factor 1/(N·sqrt(L)) of a matrix that writes N times into the residual stream of L layers
// (arXiv 2606.18524).
double residual_scale(const TensorDeclaration& declaration, const ModelConfig& config) {
  const int64_t layers = config.prelude_layers + config.core_layers + config.coda_layers;
  const int64_t loops = declaration.in_loop ? config.max_loop_iters : 1;
  return 1.0 / (static_cast<double>(loops) * std::sqrt(static_cast<double>(layers)));
}

void fill_matrix(const TensorDeclaration& declaration, const ModelConfig& config, uint64_t seed,
                 uint64_t stream, Tensor value) {
  if (declaration.writes_residual && config.residual_init == ResidualInit::zero) {
    value.zero_();
    return;
  }
  const bool orthogonal =
      config.matrix_init == MatrixInit::orthogonal && is_hidden_matrix(declaration);
  const bool embedding = declaration.use == Use::lookup && config.embedding_std > 0;
  const double deviation = embedding ? config.embedding_std : config.init_std;
  fill_normal(value.data_ptr<float>(), value.numel(), orthogonal ? 1 : deviation, seed, stream);
  if (orthogonal) make_orthogonal(declaration, config.init_std, value);
  if (declaration.writes_residual && config.residual_init == ResidualInit::scaled) {
    value.mul_(residual_scale(declaration, config));
  }
}

void require_shape(const TensorDeclaration& declared, const Tensor& values,
                   const std::string& origin) {
  if (values.sizes() == at::IntArrayRef(declared.shape)) return;
  fail(ErrorKind::data, origin + ": tensor '" + declared.name + "' has shape " +
                            shape_text(values.sizes()) + ", expected " +
                            shape_text(declared.shape));
}

}  // namespace

void set_initial_value(const TensorDeclaration& declaration, const ModelConfig& config,
                       uint64_t seed, uint64_t stream, Tensor value) {
  switch (declaration.init) {
    case Init::zeros:
      value.zero_();
      break;
    case Init::ones:
      value.fill_(1);
      break;
    case Init::injection_gain:
      value.fill_(0.1);
      break;
    case Init::normal:
      fill_matrix(declaration, config, seed, stream, value);
      break;
    case Init::identity_tail:
      value.zero_();
      value.narrow(1, value.size(1) - config.dim, config.dim).copy_(at::eye(config.dim));
      break;
    case Init::halt_bias: {
      if (config.halt_loops > 0) {
        const double p = initial_halt_probability(config);
        value.fill_(std::log(p / (1 - p)));
        break;
      }
      Rng rng(seed, stream);
      const double bound = 1.0 / std::sqrt(static_cast<double>(config.dim));
      for (int64_t i = 0; i < value.numel(); ++i) value[i] = bound * (2.0 * rng.uniform() - 1.0);
    }
  }
}

std::string shape_text(at::IntArrayRef shape) {
  std::vector<std::string> sizes;
  for (const int64_t size : shape) sizes.push_back(std::to_string(size));
  return strprintf("[%s]", join(sizes, ","));
}

StoredTensors initial_values(const ModelConfig& config, uint64_t seed) {
  StoredTensors values;
  uint64_t stream = 0;
  for (const TensorDeclaration& declared : declared_tensors(config)) {
    values[declared.name] = [=, i = stream++] {
      const at::NoGradGuard no_grad;
      const Tensor value = at::empty(declared.shape);
      set_initial_value(declared, config, seed, i, value);
      return value;
    };
  }
  return values;
}

Parameters::Parameters(const ModelConfig& config, at::Device device, ParameterMemory memory)
    : device_(device) {
  for (TensorDeclaration& declared : declared_tensors(config)) {
    const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
    Tensor tensor = memory == ParameterMemory::later ? without_memory(declared.shape, options)
                                                     : at::empty(declared.shape, options);
    tensor.requires_grad_(is_trained(declared.use));
    index_[declared.name] = items_.size();
    items_.push_back({std::move(declared), std::move(tensor)});
  }
}

Parameters::Parameters(const ModelConfig& config, at::Device device, StoredTensors stored,
                       const std::string& origin)
    : device_(device), stored_(std::move(stored)), origin_(origin) {
  for (TensorDeclaration& declared : declared_tensors(config)) {
    index_[declared.name] = items_.size();
    items_.push_back({std::move(declared), Tensor()});
  }
  std::vector<std::string> names;
  for (const auto& [name, make] : stored_) names.push_back(name);
  require_names(names, origin);
}

void Parameters::make(size_t item) const {
  Item& to = items_[item];
  const auto found = stored_.find(to.name);
  if (found == stored_.end()) return;
  const at::NoGradGuard no_grad;
  Tensor values = found->second();
  stored_.erase(found);
  require_shape(to, values, origin_);
  const bool kept = is_cast(to.use) && values.scalar_type() != at::kDouble;
  // Detached, as a view would hold what it is a view of.
  to.tensor = values.to(device_, kept ? values.scalar_type() : at::kFloat).detach();
}

void Parameters::make_all() const {
  for (size_t i = 0; !stored_.empty() && i < items_.size(); ++i) make(i);
}

void Parameters::initialize(const ModelConfig& config, uint64_t seed) {
  for (const Item& item : items_) initialize(config, seed, item.name);
}

void Parameters::initialize(const ModelConfig& config, uint64_t seed, const std::string& name) {
  const at::NoGradGuard no_grad;
  Tensor target = at(name);
  const size_t i = index_.at(name);
  const Tensor value = target.is_cpu() ? target : at::empty(items_[i].shape);
  set_initial_value(items_[i], config, seed, i, value);
  if (!target.is_cpu()) target.copy_(value);
}

const Tensor& Parameters::at(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) fail(ErrorKind::internal, "no parameter '" + name + "'");
  if (!stored_.empty()) make(found->second);
  return items_[found->second].tensor;
}

ModelTensors<Tensor, Tensor> Parameters::tree(const ModelConfig& config) const {
  ModelTensors<Tensor, Tensor> tree;
  const auto set = [&](Tensor& member, const TensorDeclaration& d) { member = at(d.name); };
  ModelTensors<Tensor, Tensor>::visit(tree, config, set);
  return tree;
}

void Parameters::set_update(const std::string& name, LowRankUpdate update) {
  at(name);
  updates_[name] = std::move(update);
}

Tensor Parameters::merged(const std::string& name) const {
  const Tensor& tensor = at(name);
  const auto update = updates_.find(name);
  if (update == updates_.end()) return tensor;
  const LowRankUpdate& low_rank = update->second;
  return at::addmm(tensor, low_rank.b, low_rank.a, /*beta=*/1, low_rank.scale);
}

void Parameters::fill(const std::string& name, Parameters& values) {
  const at::NoGradGuard no_grad;
  Tensor target = at(name);
  set_memory(target, true);
  target.copy_(values.at(name));
  values.release(name);
}

void Parameters::keep_part(const std::string& name, int64_t begin, int64_t count) {
  Item& item = items_[index_.at(name)];
  const auto stored = stored_.find(name);
  if (stored != stored_.end()) {
    stored->second = [=, make = stored->second, whole = TensorDeclaration(item), origin = origin_] {
      const Tensor values = make();
      require_shape(whole, values, origin);
      const Tensor part = values.narrow(0, begin, count);
      // What was made for this call goes; what a file holds is seen through the part.
      return values.use_count() == 1 ? part.clone() : part;
    };
  }
  item.shape[0] = count;
  const Tensor whole = item.tensor;
  if (!whole.defined()) return;
  item.tensor = has_memory(whole) ? whole.detach().narrow(0, begin, count).clone()
                                  : without_memory(item.shape, whole.detach().options());
  item.tensor.requires_grad_(whole.requires_grad());
}

void Parameters::release(const std::string& name) {
  const auto found = index_.find(name);
  if (found == index_.end()) fail(ErrorKind::internal, "no parameter '" + name + "'");
  stored_.erase(name);
  items_[found->second].tensor = Tensor();
}

void Parameters::require_names(const std::vector<std::string>& stored,
                               const std::string& origin) const {
  for (const std::string& name : stored) {
    if (contains(name)) continue;
    std::vector<std::string> known;
    for (const Item& item : items_) known.push_back(item.name);
    fail(ErrorKind::data,
         origin + ": tensor '" + name + "' is not part of this model." + did_you_mean(name, known));
  }
  for (const Item& item : items_) {
    if (std::ranges::find(stored, item.name) != stored.end()) continue;
    fail(ErrorKind::data, origin + ": tensor '" + item.name + "' is missing (expected shape " +
                              shape_text(item.shape) + ")");
  }
}

std::vector<const Tensor*> Parameters::match(const std::map<std::string, Tensor>& values,
                                             const std::string& origin) const {
  std::vector<std::string> names;
  for (const auto& [name, value] : values) names.push_back(name);
  require_names(names, origin);
  std::vector<const Tensor*> found;
  for (const Item& item : items_) {
    found.push_back(&values.at(item.name));
    require_shape(item, *found.back(), origin);
  }
  return found;
}

void Parameters::load(const std::map<std::string, Tensor>& values, const std::string& origin) {
  const at::NoGradGuard no_grad;
  const auto found = match(values, origin);
  for (size_t i = 0; i < items_.size(); ++i) items_[i].tensor.copy_(*found[i]);
}

void Parameters::adopt(const std::map<std::string, Tensor>& values, const std::string& origin) {
  const at::NoGradGuard no_grad;
  const auto found = match(values, origin);
  for (size_t i = 0; i < items_.size(); ++i) {
    items_[i].tensor = found[i]->to(items_[i].tensor.device(), at::kFloat);
  }
}

namespace {

// Gives the memory of rows that nobody will read again back to the system.
void forget(const Tensor& rows) {
  forget_pages(rows.data_ptr(), rows.nbytes());
}

Padding padding_of(const TensorDeclaration& declaration, int64_t multiple) {
  switch (declaration.hidden) {
    case HiddenSide::rows:
      return {0, static_cast<int64_t>(declaration.parts.size()), multiple};
    case HiddenSide::columns:
      return {1, 1, multiple};
    case HiddenSide::none:
      break;
  }
  return {};
}

// Fills weights from the parameters of the same names.
class WeightMaker {
 public:
  WeightMaker(const Parameters& parameters, at::ScalarType type, StoredBf16 stored,
              std::optional<int64_t> multiple = {})
      : parameters_(parameters),
        type_(type),
        keeps_bf16_(stored == StoredBf16::kept && type == at::kFloat),
        width_(multiple.value_or(width_multiple(parameters.device().type(), type))) {}
  // Takes the parameters one by one; those that products alone read are rounded.
  WeightMaker(Parameters& parameters, at::ScalarType type, StoredBf16 stored, WeightFormat format,
              const PrepareParameter& prepare)
      : WeightMaker(parameters, type, stored) {
    taken_from_ = &parameters;
    prepare_ = prepare;
    format_ = format;
  }

  Weights make(const ModelConfig& config) const {
    Weights w;
    w.compute_type = type_;
    w.logit_softcap = config.logit_softcap;
    const bool plain = format_ == WeightFormat::plain;
    Weights::visit(w, config, [&](auto& member, const TensorDeclaration& declaration) {
      if (prepare_) prepare_(*taken_from_, declaration.name);
      if (declaration.use == Use::lookup && config.tied_head && !plain) {
        w.head = quantize(parameters_.at(declaration.name), format_of(Use::head));
      }
      fill(member, declaration);
      if (taken_from_) taken_from_->release(declaration.name);
    });
    if (config.tied_head && plain) w.head = w.embed;
    return w;
  }

 private:
  void fill(Tensor& member, const TensorDeclaration& declaration) const {
    const Tensor& tensor = parameters_.at(declaration.name);
    if (!is_cast(declaration.use) || stays(declaration.use, tensor)) {
      member = tensor;
    } else if (!taken_from_) {
      member = shared_weight(parameters_.merged(declaration.name), type_, padding(declaration));
    } else {
      member = padded(cast(tensor, type_, last_reader(tensor)), padding(declaration));
    }
  }
  // Rounded matrices are not padded.
  void fill(Matrix& member, const TensorDeclaration& declaration) const {
    const WeightFormat format = format_of(declaration.use);
    if (format == WeightFormat::plain) {
      Tensor values;
      fill(values, declaration);
      member = values;
    } else {
      const Tensor& tensor = parameters_.at(declaration.name);
      member = quantize(tensor, format, last_reader(tensor));
    }
  }
  // Products of a stack of experts, and those that are never rounded, take one type alone.
  bool stays(Use use, const Tensor& tensor) const {
    const bool widened = use == Use::lookup || (is_rounded(use) && use != Use::experts);
    return keeps_bf16_ && widened && tensor.scalar_type() == at::kBFloat16;
  }
  WeightFormat format_of(Use use) const {
    if (format_ == WeightFormat::plain || !is_rounded(use)) return WeightFormat::plain;
    return use == Use::head ? WeightFormat::int8 : format_;
  }
  Padding padding(const TensorDeclaration& declaration) const {
    return padding_of(declaration, width_);
  }
  // Forgets what is read, where nobody else holds the tensor.
  static RowsRead last_reader(const Tensor& tensor) {
    const bool alone = tensor.use_count() == 1 && tensor.storage().use_count() == 1;
    return tensor.is_cpu() && tensor.is_contiguous() && alone ? RowsRead(forget) : RowsRead();
  }

  const Parameters& parameters_;
  at::ScalarType type_;
  bool keeps_bf16_;
  int64_t width_;
  Parameters* taken_from_ = nullptr;
  PrepareParameter prepare_;
  WeightFormat format_ = WeightFormat::plain;
};

}  // namespace

StoredBf16 stored_bf16(ComputeType type, at::Device device) {
  return type == ComputeType::automatic && device.is_cpu() ? StoredBf16::kept : StoredBf16::cast;
}

Weights make_weights(const ModelConfig& config, const Parameters& parameters,
                     at::ScalarType compute_type, std::optional<int64_t> multiple,
                     StoredBf16 stored) {
  return WeightMaker(parameters, compute_type, stored, multiple).make(config);
}

void fill_weight(const TensorDeclaration& declaration, const Tensor& parameter,
                 const Tensor& weight) {
  const at::NoGradGuard no_grad;
  set_memory(weight, true);
  const int64_t multiple = width_multiple(weight.device().type(), weight.scalar_type());
  const Tensor values = parameter.variable_data();
  weight.variable_data().copy_(padded(values, padding_of(declaration, multiple)));
}

Weights make_inference_weights(const ModelConfig& config, Parameters&& parameters,
                               at::ScalarType compute_type, WeightFormat format,
                               const PrepareParameter& prepare, StoredBf16 stored) {
  const at::NoGradGuard no_grad;
  return WeightMaker(parameters, compute_type, stored, format, prepare).make(config);
}

int64_t size_bytes(const ModelConfig& config, const Weights& weights) {
  int64_t bytes = 0;
  const auto add = [&](const Matrix& matrix, const TensorDeclaration&) {
    bytes += matrix.size_bytes();
  };
  Weights::visit(weights, config, add);
  if (config.tied_head && !weights.head.values.is_same(weights.embed)) {
    bytes += weights.head.size_bytes();
  }
  return bytes;
}

}  // namespace mythos
